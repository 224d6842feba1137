/**
 * The management doors, as the Worker knows them: /v1, and /api with what belongs to it. What answers is loaded at the first
 * request for it, so that the data path carries no schema library and no router.
 */
import type { ManagementContext } from "./context.ts";

/** Paths that belong to /api without lying below it. */
const OTHER_PATHS: readonly string[] = ["/api", "/healthz", "/metrics", "/openapi.json"];

/** `path` is the request's. Undefined for one of others. */
export function managementDoor(
  context: ManagementContext,
): (request: Request, path: string) => Promise<Response> | undefined {
  return (request, path) => {
    if (path.startsWith("/v1/")) return import("./v1/routes.ts").then(({ answerV1 }) => answerV1(request, context));
    if (!path.startsWith("/api/") && !OTHER_PATHS.includes(path)) return undefined;
    return import("./api/app.ts").then(({ answerApi }) => answerApi(request, context));
  };
}
