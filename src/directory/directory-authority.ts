/**
 * The authority over all databases of the deployment: an access token names its organization, whose object says what it allows;
 * what comes out is a data token that can do no more and ends no later. A made-up token reaches no object.
 */
import type { Authority, DataToken, Grant } from "../core/authority.ts";
import type { Clock } from "../core/clock.ts";
import type { Failure } from "../core/errors.ts";
import { isFailure, type OrganizationStub } from "../core/management.ts";
import type { AccessTokenKeys } from "./access-token.ts";
import type { DataTokens } from "./data-token.ts";

export interface DirectoryAuthorityParts {
  readonly accessTokens: AccessTokenKeys;
  readonly dataTokens: DataTokens;
  readonly clock: Clock;
  organization(id: string): Pick<OrganizationStub, "exchange">;
}

export class DirectoryAuthority implements Authority {
  readonly #parts: DirectoryAuthorityParts;

  constructor(parts: DirectoryAuthorityParts) {
    this.#parts = parts;
  }

  async exchange(accessToken: string, databaseId: string): Promise<DataToken | Failure> {
    const { accessTokens, dataTokens, clock } = this.#parts;
    const caller = await accessTokens.tokenCaller(accessToken);
    if (isFailure(caller)) return caller;
    const grant = await this.#parts.organization(caller.organizationId).exchange(caller, databaseId);
    return isFailure(grant) ? grant : dataTokens.mint(grant, databaseId, clock.now());
  }

  /** As `DataTokens.verify`. */
  verify(dataToken: string, databaseId: string): Grant | Failure | Promise<Grant | Failure> {
    return this.#parts.dataTokens.verify(dataToken, databaseId, this.#parts.clock.now());
  }
}
