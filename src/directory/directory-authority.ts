/**
 * The authority over all databases of the deployment. An access token names its organization, whose object says what the token allows.
 * The resulting data token allows no more and ends no later. A made-up token causes no call of an object.
 */
import type { Authority, DataToken } from "../contracts/authority.ts";
import { type Grant, grantOfPast, refusedAccess } from "../contracts/grant.ts";
import type { Clock } from "../core/clock.ts";
import { type Failure, isFailure } from "../core/errors.ts";
import type { OrganizationStub, TokenCaller } from "../contracts/management.ts";
import { isMarked } from "../contracts/platform-marks.ts";
import type { PastKeeper } from "../contracts/restore-commands.ts";
import { versionstampHex } from "../core/versionstamp.ts";
import type { AccessTokenKeys } from "./access-token.ts";
import type { DataTokens } from "../contracts/data-token.ts";

export interface DirectoryAuthorityParts {
  readonly accessTokens: AccessTokenKeys;
  readonly dataTokens: DataTokens;
  readonly clock: Clock;
  organization(id: string): Pick<OrganizationStub, "exchange">;
  /** The database's object. The grant says where it is. */
  pastKeeper(databaseId: string, grant: Grant): PastKeeper;
}

export class DirectoryAuthority implements Authority {
  readonly #parts: DirectoryAuthorityParts;

  constructor(parts: DirectoryAuthorityParts) {
    this.#parts = parts;
  }

  caller(accessToken: string, origin: string | null): Promise<TokenCaller | Failure> {
    return this.#parts.accessTokens.tokenCaller(accessToken, origin);
  }

  async exchange(caller: TokenCaller, databaseId: string, moment: string | undefined): Promise<DataToken | Failure> {
    const { dataTokens, clock } = this.#parts;
    const grant = await this.grant(caller, databaseId);
    if (isFailure(grant)) return grant;
    if (moment === undefined) return dataTokens.mint(grant, databaseId, clock.now());
    const refused = refusedAccess(grant, "read", clock.now());
    if (refused !== null) return refused;
    // The exchange was recorded as one for the live database. So a revocation reaches the live database, which passes it on.
    const past = await this.#parts.pastKeeper(databaseId, grant).openPast(grant, moment, "least-recently-used");
    if (isFailure(past)) return past;
    const at = versionstampHex(past.version);
    return { ...(await dataTokens.mint(grantOfPast(grant, at), databaseId, clock.now())), at };
  }

  /**
   * A grant is recorded before it is given. That fails where nothing can be written, as on a full disk. Then a grant that an earlier
   * record covers is given without a new record, so that reading continues.
   */
  async grant(caller: TokenCaller, databaseId: string): Promise<Grant | Failure> {
    const organization = () => this.#parts.organization(caller.organizationId);
    try {
      return await organization().exchange(caller, databaseId);
    } catch (error) {
      // A second call would give the object even more to do.
      if (isMarked(error, "overloaded")) throw error;
      const covered = await organization().exchange(caller, databaseId, "unrecorded");
      if (isFailure(covered) && covered.code === "unavailable") throw error;
      return covered;
    }
  }

  /** As `DataTokens.verify`. */
  verify(dataToken: string, databaseId: string, at?: string): Grant | Failure | Promise<Grant | Failure> {
    return this.#parts.dataTokens.verify(dataToken, databaseId, this.#parts.clock.now(), at);
  }
}
