/**
 * The management doors for the Worker: /v1, and /api with the addresses that belong to it. Their code is loaded at the first request for
 * it, so the data path carries no schema library and no router.
 */
import { failure } from "../../core/errors.ts";
import { foreignOriginOf, readableBy } from "../http/cors.ts";
import { problem } from "../http/problem.ts";
import type { ManagementContext } from "./context.ts";

/** For the answer to an address where nothing is. */
export const MANAGEMENT_ADDRESS = "The API's reference is at /api.";

/** Paths that belong to /api and do not lie below it. */
const OTHER_PATHS: readonly string[] = ["/api", "/healthz", "/metrics", "/openapi.json"];

const NO_SLASH = failure(
  "not-found",
  "There is nothing at this address: no address of the API ends with a slash. A key with a part . or .. goes into ?key=, because clients take such segments out of a path.",
);

/** `path` is the path of the request's URL. Undefined: another door's path. */
export function managementDoor(
  context: ManagementContext,
): (request: Request, path: string) => Promise<Response> | undefined {
  return (request, path) => {
    const isOurs = path.startsWith("/v1/") || path.startsWith("/api/") || OTHER_PATHS.includes(path);
    if (!isOurs) return undefined;
    return answered(request, path, context);
  };
}

async function answered(request: Request, path: string, context: ManagementContext): Promise<Response> {
  const isHead = request.method === "HEAD";
  // Without the body: clients may send one, and no Request with GET can have it.
  const asked = isHead ? new Request(request.url, { method: "GET", headers: request.headers }) : request;
  const readable = readableBy(foreignOriginOf(request), await answerOf(asked, path, context));
  if (!isHead) return readable;
  // What would be read for it takes memory until it is let go.
  await readable.body?.cancel();
  return new Response(null, readable);
}

async function answerOf(request: Request, path: string, context: ManagementContext): Promise<Response> {
  if (path.startsWith("/v1/")) return (await import("./v1/routes.ts")).answerV1(request, context);
  // A client makes this of `/api/databases/{id}/entries/..`, and a DELETE of it must not delete the database.
  if (path.endsWith("/")) return problem(NO_SLASH);
  return (await import("./api/app.ts")).answerApi(request, context);
}
