/**
 * A route of /api: its requests and answers as schemas, and the function that answers. The caller is authenticated before anything else
 * of the request is looked at.
 */
import { z } from "zod";
import { type Failure, isFailure } from "../../../core/errors.ts";
import type { Idempotency } from "../../../contracts/idempotency.ts";
import type { Caller, CommandName, Input, Output } from "../../../contracts/management.ts";
import type { Job } from "../../../contracts/resources.ts";
import { ask, callerOf } from "../../http/directory.ts";
import { checked } from "./checked.ts";
import { idempotencyOf, readBody, type ManagementContext } from "../context.ts";

export interface Call<Params, Query, Body> {
  readonly context: ManagementContext;
  readonly request: Request;
  readonly caller: Caller;
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /** null: the request has none, or the route takes none. */
  readonly idempotency: Idempotency | null;
  readonly ask: Ask;
}

/** Asks the caller's organization. `named` is the organization in the path, if there is one. */
export type Ask = <Name extends CommandName>(
  name: Name,
  input: Input<Name>,
  named?: string,
) => Promise<Output<Name> | Failure>;

interface Described {
  readonly method: "get" | "post" | "put" | "patch" | "delete";
  /** With `:name` for each member of `params`. */
  readonly path: string;
  readonly summary: string;
  /** Without a schema the answer has no body. */
  readonly success: { readonly status: number; readonly description: string; readonly schema: z.ZodType | null };
}

interface Definition<
  Params extends z.ZodType,
  Query extends z.ZodType,
  Body extends z.ZodType,
  Found,
> extends Described {
  readonly params?: Params;
  readonly query?: Query;
  /** Without a schema the body is ignored. */
  readonly body?: Body;
  /** Whether the route takes an Idempotency-Key. By default it does not. */
  readonly idempotent?: boolean;
  /** Whether the answer shows a secret although it does not say that something was made. */
  readonly showsSecret?: boolean;
  /** Returns what was found or made. A response is sent unchanged. */
  readonly answer: (call: Call<z.output<Params>, z.output<Query>, z.output<Body>>) => Promise<Found | Failure>;
  /** Turns what was found into JSON. Without it, the value is sent unchanged. */
  readonly show?: (found: Exclude<Found, Response>) => unknown;
  /** The address of what was made. */
  readonly location?: (found: Exclude<Found, Response>, params: z.output<Params>) => string;
}

/** A definition without the types of its schemas. */
export interface ApiRoute extends Described {
  readonly params: z.ZodObject;
  readonly query: z.ZodObject;
  readonly body: z.ZodType | null;
  readonly idempotent: boolean;
  readonly respond: (
    request: Request,
    params: Record<string, string>,
    context: ManagementContext,
  ) => Promise<Response | Failure>;
}

const nothing = z.strictObject({});

export function route<Params extends z.ZodObject, Query extends z.ZodObject, Body extends z.ZodObject, Found>(
  definition: Definition<Params, Query, Body, Found>,
): ApiRoute {
  const { method, path, summary, success, answer } = definition;
  const described = { method, path, summary, success, idempotent: definition.idempotent === true };
  const schemas = { params: definition.params ?? nothing, query: definition.query ?? nothing };
  return {
    ...described,
    ...schemas,
    body: definition.body ?? null,
    async respond(request, givenParams, context) {
      const caller = await callerOf(request, context);
      if (isFailure(caller)) return caller;
      const params = checked(schemas.params, lowerCased(givenParams), "the path");
      if (isFailure(params)) return params;
      const query = checked(schemas.query, queryOf(new URL(request.url)), "the query");
      if (isFailure(query)) return query;
      const raw = definition.body === undefined ? { text: "", value: {} } : await readBody(request, context);
      if (isFailure(raw)) return raw;
      const body = checked(definition.body ?? anything, raw.value, "the body");
      if (isFailure(body)) return body;
      const idempotency = described.idempotent ? await idempotencyOf(request, raw.text) : null;
      if (isFailure(idempotency)) return idempotency;
      const found = await answer({
        context,
        request,
        caller,
        // Without a schema, the type of each has no readable member.
        params: params as z.output<Params>,
        query: query as z.output<Query>,
        body: body as z.output<Body>,
        idempotency,
        ask: (name, input, named) => ask(context, caller, named ?? null, name, input),
      });
      if (found instanceof Response) return found;
      // The answer of a command has no member "ok" that is false, except for failures of ours.
      if (isFailure(found)) return found as Failure;
      // The two excluded types have just been returned.
      return shown(definition, found as Exclude<Found, Response>, params as z.output<Params>);
    },
  };
}

function shown<Params extends z.ZodObject, Query extends z.ZodObject, Body extends z.ZodObject, Found>(
  { success, show, location, showsSecret }: Definition<Params, Query, Body, Found>,
  found: Exclude<Found, Response>,
  params: z.output<Params>,
): Response {
  const { status } = success;
  if (success.schema === null) return new Response(null, { status });
  const headers = new Headers(location === undefined ? {} : { location: location(found, params) });
  // The answer may show the secret of what was made, which is shown only once.
  if (status === 201 || showsSecret === true) headers.set("cache-control", "no-store");
  return Response.json(show === undefined ? found : show(found), { status, headers });
}

export function jobLocation({ id }: Job): string {
  return `/api/jobs/${id}`;
}

const anything = z.unknown();

/** A parameter that is given twice becomes an array, which no schema accepts. */
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
