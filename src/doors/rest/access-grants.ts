/**
 * Access tokens as they are, without an exchange of the client's own: the door exchanges one itself, and remembers for a short while what it
 * allows. So a request costs one call of the database's object, as with a data token. A revocation is known to the object, which refuses the
 * token's id at once, remembered or not.
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

  /** `origin`: of the foreign page that shows the token, if one does. */
  async grantOf(accessToken: string, databaseId: string, origin: string | null): Promise<Grant | Failure> {
    const name = `${databaseId}\n${origin ?? ""}\n${accessToken}`;
    const now = this.#clock.now();
    const found = this.#remembered.get(name);
    // A clock that was set back does not make it older.
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
