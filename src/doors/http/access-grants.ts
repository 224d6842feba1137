/**
 * Access tokens that are shown directly, without an exchange by the client. The door exchanges such a token itself, and remembers for a
 * short time what it allows. So a request costs one call of the database's object, as with a data token. The object knows of a
 * revocation, and refuses the token's id at once, also when the grant is remembered.
 */
import type { Authority } from "../../contracts/authority.ts";
import type { Grant } from "../../contracts/grant.ts";
import type { Clock } from "../../core/clock.ts";
import { type Failure, isFailure } from "../../core/errors.ts";
import { MAX_REMEMBERED_GRANTS } from "../../core/limits.ts";
import { Remembered } from "./remembered.ts";

export class AccessGrants {
  readonly #authority: Pick<Authority, "caller" | "grant">;
  readonly #remembered: Remembered<Grant>;

  constructor(authority: Pick<Authority, "caller" | "grant">, clock: Clock) {
    this.#authority = authority;
    this.#remembered = new Remembered(clock, MAX_REMEMBERED_GRANTS);
  }

  /** `origin`: of the page of another origin that shows the token. null: there is none. */
  async grantOf(accessToken: string, databaseId: string, origin: string | null): Promise<Grant | Failure> {
    const name = `${databaseId}\n${origin ?? ""}\n${accessToken}`;
    const found = this.#remembered.find(name);
    if (found !== undefined) return found;
    const caller = await this.#authority.caller(accessToken, origin);
    if (isFailure(caller)) return caller;
    const grant = await this.#authority.grant(caller, databaseId);
    if (isFailure(grant)) return grant;
    this.#remembered.add(name, grant);
    return grant;
  }
}
