/** How a door asks the directory: who sends a request, and what the caller's organization answers. */
import type { AccessTokens, Caller, CommandName, Input, OrganizationStub, Output } from "../../contracts/management.ts";
import { failure, type Failure } from "../../core/errors.ts";
import { bearerToken } from "./bearer-token.ts";
import { foreignOriginOf } from "./cors.ts";

export interface DirectoryParts {
  readonly accessTokens: AccessTokens;
  organization(id: string): OrganizationStub;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Asks the caller's organization. `named` is the organization in the request's path, if there is one. */
export async function ask<Name extends CommandName>(
  context: DirectoryParts,
  caller: Caller,
  named: string | null,
  name: Name,
  input: Input<Name>,
): Promise<Output<Name> | Failure> {
  if (caller.kind === "token") return context.organization(caller.organizationId).run(caller, named, name, input);
  if (named === null) {
    return failure(
      "forbidden",
      "The deployment's token manages organizations and their tokens; use a token of the organization.",
    );
  }
  if (!UUID.test(named))
    return failure("not-found", "There is no such organization, or none that this token may know of.");
  return context.organization(named).run(caller, named, name, input);
}

/** The caller who sends the request. Whether an organization in the path is the caller's is checked by `ask`. */
export async function callerOf(request: Request, { accessTokens }: DirectoryParts): Promise<Caller | Failure> {
  const token = bearerToken(request.headers);
  return typeof token === "string" ? accessTokens.caller(token, foreignOriginOf(request)) : token;
}
