/**
 * Which archives of a schedule are deleted after a run that succeeded. Only whole archives that the schedule made are ever deleted, and never
 * the newest of them, nor the newest that a destination has: a destination may have failed for longer than archives are kept. An archive that somebody asked for stays until somebody destroys it.
 */
import type { ArchiveInfo } from "../../contracts/archive-commands.ts";
import type { UnixMs } from "../../core/clock.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

export type RetainedArchive = Pick<ArchiveInfo, "id" | "origin" | "status" | "createdAt" | "destinations">;

export interface Retention {
  /** null: an archive never becomes too old. */
  readonly days: number | null;
  /** null: there are never too many. */
  readonly most: number | null;
  /** By the id of each destination of the database: how many archives it keeps. null: it has no number of its own. */
  readonly mostAt: ReadonlyMap<string, number | null>;
}

export interface Excess {
  /** Archives to be destroyed, the oldest first. */
  readonly archives: readonly string[];
  /** Copies to be removed of archives that stay elsewhere. */
  readonly copies: readonly { readonly id: string; readonly destinationId: string }[];
}

/**
 * Age is counted back from the older of the two newest archives, and not from the clock alone: one run under a clock that was wrong for
 * a while deletes nothing.
 */
export function excessOf(archives: readonly RetainedArchive[], retention: Retention, now: UnixMs): Excess {
  const own = archives
    .filter(({ origin, status }) => origin === "schedule" && status === "completed")
    .toSorted((a, b) => Number(BigInt(b.id) - BigInt(a.id)));
  const [newest, second] = own;
  if (newest === undefined || second === undefined) return { archives: [], copies: [] };
  const { days, most, mostAt } = retention;
  const from = Math.min(now, newest.createdAt, second.createdAt);
  const oldest = days === null ? Number.NEGATIVE_INFINITY : from - days * DAY_MS;
  const keep = Math.max(1, most ?? Number.POSITIVE_INFINITY);
  const excess = new Set(own.filter(({ createdAt }, index) => index > 0 && (index >= keep || createdAt < oldest)));
  const newestAt = new Map<string, RetainedArchive | undefined>();
  const beyond = new Set<string>();
  for (const [destinationId, kept] of mostAt) {
    newestAt.set(
      destinationId,
      own.find((archive) => isAt(archive, destinationId)),
    );
    if (kept === null) continue;
    const there = own.filter((archive) => !excess.has(archive) && isAt(archive, destinationId));
    for (const { id } of there.slice(Math.max(1, kept))) beyond.add(`${id} ${destinationId}`);
  }
  const destroyed: string[] = [];
  const copies: { id: string; destinationId: string }[] = [];
  for (const archive of own) {
    if (archive === newest) continue;
    const { id } = archive;
    const stored = archive.destinations.filter(({ status }) => status === "stored");
    const going = stored.filter(
      ({ destinationId }) =>
        newestAt.get(destinationId) !== archive && (excess.has(archive) || beyond.has(`${id} ${destinationId}`)),
    );
    // An archive whose last copy goes is destroyed as a whole.
    const isLast = going.length === stored.length && (stored.length > 0 || excess.has(archive));
    if (isLast) destroyed.unshift(id);
    else copies.push(...going.map(({ destinationId }) => ({ id, destinationId })));
  }
  return { archives: destroyed, copies };
}

function isAt({ destinations }: RetainedArchive, id: string): boolean {
  return destinations.some(({ destinationId, status }) => destinationId === id && status === "stored");
}
