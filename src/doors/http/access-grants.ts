/**
 * Access tokens that are shown directly, without an exchange by the client. The door exchanges such a token itself, and remembers for a
 * short time what it allows. So a request costs one call of the database's object, as with a data token. The object knows of a
 * revocation, and refuses the token's id at once, also when the grant is remembered.
 */
import type { Authority } from "../../contracts/authority.ts";
import type { Grant } from "../../contracts/grant.ts";
import { asUnixMs, type Clock, type UnixMs } from "../../core/clock.ts";
import { type Failure, isFailure } from "../../core/errors.ts";
import { MAX_REMEMBERED_GRANTS, REMEMBERED_GRANT_MS } from "../../core/limits.ts";

interface Remembered {
  readonly grant: Grant;
  readonly until: UnixMs;
}

export class AccessGrants {
  readonly #authority: Pick<Authority, "caller" | "grant">;
  readonly #clock: Clock;
  /** The oldest first. */
  readonly #remembered = new Map<string, Remembered>();

  constructor(authority: Pick<Authority, "caller" | "grant">, clock: Clock) {
    this.#authority = authority;
    this.#clock = clock;
  }

  /** `origin`: of the page of another origin that shows the token. null: there is none. */
  async grantOf(accessToken: string, databaseId: string, origin: string | null): Promise<Grant | Failure> {
    const name = `${databaseId}\n${origin ?? ""}\n${accessToken}`;
    const now = this.#clock.now();
    const found = this.#remembered.get(name);
    // A clock that was set back makes a remembered grant no older.
    if (found !== undefined && now < found.until && now >= found.until - REMEMBERED_GRANT_MS) return found.grant;
    this.#remembered.delete(name);
    const caller = await this.#authority.caller(accessToken, origin);
    if (isFailure(caller)) return caller;
    const grant = await this.#authority.grant(caller, databaseId);
    if (isFailure(grant)) return grant;
    this.#remembered.set(name, { grant, until: asUnixMs(now + REMEMBERED_GRANT_MS) });
    if (this.#remembered.size > MAX_REMEMBERED_GRANTS) {
      for (const oldest of this.#remembered.keys()) {
        this.#remembered.delete(oldest);
        break;
      }
    }
    return grant;
  }
}
