/**
 * The management doors for the Worker: /v1, and /api with the addresses that belong to it. Their code is loaded at the first request for
 * it, so the data path carries no schema library and no router.
 */
import { foreignOriginOf, readableBy } from "../http/cors.ts";
import type { ManagementContext } from "./context.ts";

/** For the answer to an address where nothing is. */
export const MANAGEMENT_ADDRESS = "The API's reference is at /api.";

/** Paths that belong to /api and do not lie below it. */
const OTHER_PATHS: readonly string[] = ["/api", "/healthz", "/metrics", "/openapi.json"];

/** `path` is the path of the request's URL. Undefined: another door's path. */
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
