/**
 * Whether a request may use the object's database, judged when the request comes and again after it has waited: meanwhile its token may
 * have been revoked, or the database deleted.
 */
import { type Access, type Grant, refusedAccess } from "../contracts/grant.ts";
import { NO_DATABASE } from "../contracts/database.ts";
import type { Clock, UnixMs } from "../core/clock.ts";
import { type Failure, failure, isFailure } from "../core/errors.ts";
import { firstPiece } from "../core/process-turns.ts";
import { API_KEY_IS_GONE } from "./api-keys.ts";
import { type ClockWatch, STARTS_ANEW } from "./clock-watch.ts";
import type { OpenDatabase } from "./database-wiring.ts";
import { isLongRead } from "./long-reads.ts";

export const REVOKED = failure("unauthenticated", "The token was revoked");

export interface DatabaseAccessParts {
  /** null: the object holds no database, or one that must not be served any more. */
  readonly database: () => OpenDatabase | null;
  readonly clockWatch: ClockWatch;
  readonly clock: Clock;
}

/** `askedAt`: the time by the caller's clock. Without it the caller has no better clock than the object. */
export class DatabaseAccess {
  readonly #parts: DatabaseAccessParts;

  constructor(parts: DatabaseAccessParts) {
    this.#parts = parts;
  }

  /** The open database. Nobody is judged. */
  open(askedAt?: UnixMs): OpenDatabase | Failure {
    if (askedAt !== undefined && !this.#parts.clockWatch.goesOn(askedAt)) return STARTS_ANEW;
    const open = this.#parts.database();
    if (open === null) return NO_DATABASE;
    open.alarms.rescue();
    return open;
  }

  /** The open database, if the grant allows the access. The grant must not have ended by the caller's clock. */
  allow(grant: Grant, access: Access, askedAt: UnixMs = this.#parts.clock.now()): OpenDatabase | Failure {
    const open = this.open(askedAt);
    return isFailure(open) ? open : (refusedBy(open, grant, access, askedAt) ?? open);
  }

  /**
   * For a request that has waited: why the access is not allowed any more. That it was made long ago says nothing about the object's
   * clock, so the clock is not judged by it.
   */
  refusal(grant: Grant, access: Access, askedAt: UnixMs = this.#parts.clock.now()): Failure | null {
    const open = this.open();
    return isFailure(open) ? open : refusedBy(open, grant, access, askedAt);
  }

  /** Reads so many entries at most. Many are read at the organization's turn. `open`: the database now. */
  async read<Answer>(
    grant: Grant,
    open: OpenDatabase,
    entries: number,
    read: (open: OpenDatabase) => Answer,
  ): Promise<Awaited<Answer> | Failure> {
    if (!isLongRead(entries)) return await read(open);
    return await firstPiece(open.longWork, () => {
      const still = this.allow(grant, "read");
      return isFailure(still) ? still : read(still);
    });
  }
}

function refusedBy(open: OpenDatabase, grant: Grant, access: Access, askedAt: UnixMs): Failure | null {
  if (open.revocations.has(grant.tokenId)) return REVOKED;
  if (grant.apiKey !== undefined && !open.apiKeys.has(grant.apiKey)) return API_KEY_IS_GONE;
  return refusedAccess(grant, access, askedAt) ?? open.mode.refusal(access);
}
