/**
 * All of /api: the routes on a router, the OpenAPI document that is made from them, its reference page, and the health check. Loaded when
 * the first request for it arrives: nothing on the data path imports this file.
 */
import { fromIttyRouter, OpenAPIRoute } from "chanfana";
import { IttyRouter, type IRequest } from "itty-router";
import { z } from "zod";
import { assert } from "../../../core/assert.ts";
import { failure, type Failure, isFailure } from "../../../core/errors.ts";

import { answerOptions, FOR_EVERY_PAGE, methodsTaken } from "../../http/cors.ts";
import { failureOfLost, type ManagementContext } from "../context.ts";
import { methodNotAllowed } from "../../http/method-not-allowed.ts";
import { problem } from "../../http/problem.ts";
import { dataRoutesOfDocument } from "./data-routes.ts";
import { referenceHtml, referenceResponse, type OpenApiDocument } from "./reference.ts";
import type { ApiRoute } from "./route.ts";
import { API_ROUTES } from "./routes.ts";

const problemSchema = z
  .object({ type: z.string(), title: z.string(), status: z.number(), detail: z.string(), code: z.string() })
  .meta({ id: "Problem" });

const idempotencyHeader = z.object({
  "idempotency-key": z
    .string()
    .optional()
    .meta({ description: "The same key and request within a day are answered alike." }),
});

const router = IttyRouter<IRequest, [ManagementContext]>();
const described = fromIttyRouter(router, {
  docs_url: null,
  redoc_url: null,
  openapi_url: null,
  openapiVersion: "3.1",
  passthroughErrors: true,
  schema: {
    info: { title: "Cairn", version: "1", description: "Organizations, databases and tokens." },
    security: [{ token: [] }],
  },
});
described.registry.registerComponent("securitySchemes", "token", {
  type: "http",
  scheme: "bearer",
  description: "An access token of an organization, or the deployment's own.",
});
for (const route of API_ROUTES) described[route.method](route.path, describedRoute(route));

/** Answers any request for /api and the addresses that belong to it, except HEAD. */
export async function answerApi(request: Request, context: ManagementContext): Promise<Response> {
  try {
    const { pathname } = new URL(request.url);
    const { method } = request;
    const methods = methodsOf(pathname);
    if (methods.length === 0) return problem(failure("not-found", `There is no ${method} ${pathname.slice(0, 200)}.`));
    if (method === "OPTIONS") return answerOptions(request, methods);
    if (!methods.includes(method)) return methodNotAllowed(method, methods);
    const open = OPEN[pathname];
    return open === undefined ? await routed(request, context) : open();
  } catch (error) {
    return problem(await failureOfLost(request, error, context));
  }
}

let document: OpenApiDocument | undefined;

/** The OpenAPI 3.1 document. It is made only once. */
export function openApiDocument(): OpenApiDocument {
  document ??= withDataRoutes();
  return document;
}

function withDataRoutes(): OpenApiDocument {
  // chanfana's own type has no shape. The generator for 3.1 returns such a document.
  const made = JSON.parse(JSON.stringify(described.schema).replaceAll("[:]", ":")) as OpenApiDocument;
  const { paths, schemas } = dataRoutesOfDocument();
  return {
    ...made,
    paths: { ...made.paths, ...paths },
    components: { ...made.components, schemas: { ...made.components?.schemas, ...schemas } },
  };
}

/** Making these texts takes milliseconds, and anybody may ask for them. So each is made only once. */
let documentJson: string | undefined;
let reference: string | undefined;

function answerDocument(): Response {
  documentJson ??= JSON.stringify(openApiDocument());
  return new Response(documentJson, { headers: { "content-type": "application/json", ...FOR_EVERY_PAGE } });
}

function answerReference(): Response {
  reference ??= referenceHtml(openApiDocument());
  return referenceResponse(reference);
}

/** What everybody may get, by its path. */
const OPEN: Readonly<Record<string, () => Response>> = {
  "/healthz": () => Response.json({ ok: true }, { headers: FOR_EVERY_PAGE }),
  "/openapi.json": answerDocument,
  "/api": answerReference,
  "/api/": answerReference,
};

const patterns = API_ROUTES.map(({ method, path }) => ({
  method: method.toUpperCase(),
  pattern: new RegExp(`^${path.replaceAll("[:]", "\0").replaceAll(/:\w+/g, "[^/]+").replaceAll("\0", ":")}/?$`),
}));

/** The methods that the path takes. Empty for a path that does not exist. */
function methodsOf(path: string): string[] {
  const routes = patterns.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method);
  return methodsTaken(Object.hasOwn(OPEN, path) ? ["GET"] : routes);
}

async function routed(request: Request, context: ManagementContext): Promise<Response> {
  // The router writes the path's parameters into this object.
  const routable = Object.assign(request, { params: {}, query: {}, route: "" });
  const answer: unknown = await router.fetch(routable, context);
  assert(answer instanceof Response, "a route to answer with a response");
  return answer;
}

/** The class that chanfana requires for a route. */
function describedRoute(route: ApiRoute): typeof OpenAPIRoute {
  const { summary, params, query, body, idempotent, success } = route;
  const content = success.schema === null ? {} : { content: { "application/json": { schema: success.schema } } };
  return class extends OpenAPIRoute {
    override schema = {
      summary,
      operationId: operationId(route),
      request: {
        ...(Object.keys(params.shape).length === 0 ? {} : { params }),
        ...(Object.keys(query.shape).length === 0 ? {} : { query }),
        ...(idempotent ? { headers: idempotencyHeader } : {}),
        ...(body === null ? {} : { body: { content: { "application/json": { schema: body } } } }),
      },
      responses: {
        [success.status]: { description: success.description, ...content },
        default: { description: "A problem", content: { "application/problem+json": { schema: problemSchema } } },
      },
    };

    override async handle(request: IRequest, context: ManagementContext): Promise<Response> {
      const answer: Response | Failure = await route.respond(request, request.params, context);
      return isFailure(answer) ? problem(answer) : answer;
    }
  };
}

/** "post /api/jobs/:jobId[:]cancel" → "postJobsJobIdCancel". */
function operationId({ method, path }: ApiRoute): string {
  const words = path.replace(/^\/api/, "").match(/[A-Za-z]+/g) ?? [];
  return method + words.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join("");
}
