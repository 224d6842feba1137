/**
 * The management doors, as the Worker knows them: /v1, and /api with what belongs to it. What answers is loaded at the first
 * request for it, so that the data path carries no schema library and no router.
 */
import { foreignOriginOf, readableBy } from "../http/cors.ts";
import type { ManagementContext } from "./context.ts";

/** For whoever asks where nothing is. */
export const MANAGEMENT_ADDRESS = "The API's reference is at /api.";

/** Paths that belong to /api without lying below it. */
const OTHER_PATHS: readonly string[] = ["/api", "/healthz", "/metrics", "/openapi.json"];

/** `path` is the request's. Undefined for one of others. */
export function managementDoor(
  context: ManagementContext,
): (request: Request, path: string) => Promise<Response> | undefined {
  return (request, path) => {
    const isV1 = path.startsWith("/v1/");
    if (!isV1 && !path.startsWith("/api/") && !OTHER_PATHS.includes(path)) return undefined;
    return answered(request, isV1, context);
  };
}

async function answered(request: Request, isV1: boolean, context: ManagementContext): Promise<Response> {
  const isHead = request.method === "HEAD";
  const asked = isHead ? new Request(request, { method: "GET" }) : request;
  const answer = isV1
    ? await (await import("./v1/routes.ts")).answerV1(asked, context)
    : await (await import("./api/app.ts")).answerApi(asked, context);
  const readable = readableBy(foreignOriginOf(request), answer);
  return isHead ? new Response(null, readable) : readable;
}
