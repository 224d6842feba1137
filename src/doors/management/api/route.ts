/**
 * A route of /api: what it takes and gives as schemas, and what answers it. Who asks is established before anything else that
 * they sent is looked at.
 */
import { z } from "zod";
import { failure, type Failure } from "../../../core/errors.ts";
import { isFailure, type Caller } from "../../../core/management.ts";
import { readBody, type ManagementContext } from "../context.ts";

export interface Call<Params, Query, Body> {
  readonly context: ManagementContext;
  readonly caller: Caller;
  readonly request: Request;
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /** As it was sent. */
  readonly bodyText: string;
}

interface Definition<Params extends z.ZodType, Query extends z.ZodType, Body extends z.ZodType> {
  readonly method: "get" | "post" | "patch" | "delete";
  /** With `:name` for each member of `params`. */
  readonly path: string;
  readonly summary: string;
  readonly params: Params;
  readonly query: Query;
  /** Null: a body is not looked at. */
  readonly body: Body | null;
  /** Whether it takes an Idempotency-Key. */
  readonly idempotent: boolean;
  readonly success: { readonly status: number; readonly description: string; readonly schema: z.ZodType | null };
  readonly answer: (call: Call<z.output<Params>, z.output<Query>, z.output<Body>>) => Promise<Response | Failure>;
}

/** A definition whose schemas are only to be read any more. */
export interface ApiRoute extends Omit<Definition<z.ZodObject, z.ZodObject, z.ZodType>, "answer"> {
  readonly respond: (
    request: Request,
    params: Record<string, string>,
    context: ManagementContext,
  ) => Promise<Response | Failure>;
}

export function route<Params extends z.ZodObject, Query extends z.ZodObject, Body extends z.ZodObject>(
  definition: Definition<Params, Query, Body>,
): ApiRoute {
  const { answer, ...described } = definition;
  return {
    ...described,
    async respond(request, givenParams, context) {
      const caller = await context.accessTokens.caller(request.headers.get("authorization"));
      if (isFailure(caller)) return caller;
      const params = checked(definition.params, lowerCased(givenParams), "the path");
      if (isFailure(params)) return params;
      const query = checked(definition.query, queryOf(new URL(request.url)), "the query");
      if (isFailure(query)) return query;
      const raw = definition.body === null ? { text: "", value: {} } : await readBody(request);
      if (isFailure(raw)) return raw;
      const body = checked(definition.body ?? anything, raw.value, "the body");
      if (isFailure(body)) return body;
      // Without a schema a body is typed as nothing that could be read from it.
      const typedBody = body as z.output<Body>;
      return answer({ context, caller, request, params, query, body: typedBody, bodyText: raw.text });
    },
  };
}

const anything = z.unknown();

function checked<Schema extends z.ZodType>(schema: Schema, value: unknown, where: string): z.output<Schema> | Failure {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = issue?.path.map(String).join(".") ?? "";
  return failure("invalid", `In ${where}${path === "" ? "" : `, ${path}`}: ${issue?.message ?? "it is not valid"}.`);
}

/** A parameter given twice is an array, which no schema takes. */
function queryOf(url: URL): Record<string, string | string[]> {
  return Object.fromEntries(
    [...new Set(url.searchParams.keys())].map((name) => {
      const [first = "", ...others] = url.searchParams.getAll(name);
      return [name, others.length === 0 ? first : [first, ...others]];
    }),
  );
}

/** Ids are written in lower case. */
function lowerCased(params: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(params).map(([name, value]) => [name, value.toLowerCase()]));
}
