/**
 * Tells that an archive of the schedule failed, or did not reach one of its destinations. A notice is a row until somebody took it or it was
 * given up, so it outlives a sleep and a kill. It is told at least once: its id is the same at each attempt.
 */
import type { ArchiveInfo } from "../../contracts/archive-commands.ts";
import { ARCHIVE_EVENT } from "../../contracts/webhooks.ts";
import { MAX_ARCHIVE_NOTICES } from "../../core/archive-limits.ts";
import { backoffMs } from "../../core/backoff.ts";
import { asUnixMs, type Clock, type UnixMs } from "../../core/clock.ts";
import type { Entropy } from "../../core/entropy.ts";
import type { SqlValue, SyncStorage } from "../../core/storage.ts";
import type { BackupTask } from "../sources.ts";
import { hasPlanTables } from "./plan-schema.ts";

export interface Notice {
  /** The `webhook-id` of the request. */
  readonly id: string;
  /** null: the organization's webhooks are told. */
  readonly url: string | null;
  /** The sealed secret that signs for the URL. */
  readonly secret: string | null;
  /** The event, as JSON. */
  readonly body: string;
}

export interface FailureNoticesParts {
  readonly storage: SyncStorage;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly organizationId: string;
  readonly databaseId: string;
  /** One attempt. null: the notice was taken. Else why it was not, and whether nobody will ever take it. */
  readonly send: (notice: Notice) => Promise<{ readonly error: string; readonly final: boolean } | null>;
}

interface Row extends Record<string, SqlValue> {
  id: string;
  url: string | null;
  secret: string | null;
  body: string;
  attempts: number;
  due_at: number;
}

const FIRST_WAIT_MS = 5_000;
const LONGEST_WAIT_MS = 4 * 60 * 60 * 1000;

/** About a day together: 5 s, 10 s, 20 s, up to four hours. */
const MOST_ATTEMPTS = 17;

export class FailureNotices {
  readonly #parts: FailureNoticesParts;
  /** When the next attempt is due, kept because every alarm asks. null: there is no notice. undefined: not read yet. */
  #due: number | null | undefined;
  readonly task: BackupTask = {
    name: "archive notices",
    dueAt: () => this.#dueAt(),
    run: () => this.#run(),
  };

  constructor(parts: FailureNoticesParts) {
    this.#parts = parts;
  }

  /** In the caller's transaction. The tables exist. `archive` null: none could be begun. */
  add(
    to: { readonly url: string | null; readonly secret: string | null },
    archive: ArchiveInfo | null,
    error: string,
  ): void {
    const { clock, entropy, organizationId, databaseId } = this.#parts;
    const id = `msg_${entropy.uuid().replaceAll("-", "")}`;
    const now = clock.now();
    const body = JSON.stringify({
      type: ARCHIVE_EVENT,
      timestamp: new Date(now).toISOString(),
      data: { organizationId, databaseId, error, archive: archive === null ? null : told(archive) },
    });
    this.#change(
      "INSERT INTO archive_notices (id, url, secret, body, attempts, due_at) VALUES (?1, ?2, ?3, ?4, 0, ?5)",
      id,
      to.url,
      to.secret,
      body,
      now,
    );
    this.#change(
      `DELETE FROM archive_notices WHERE rowid NOT IN (SELECT rowid FROM archive_notices ORDER BY rowid DESC LIMIT ?1)`,
      MAX_ARCHIVE_NOTICES,
    );
  }

  #dueAt(): UnixMs | null {
    const { storage, clock } = this.#parts;
    if (this.#due === undefined) {
      const first = "SELECT min(due_at) AS due FROM archive_notices";
      this.#due = hasPlanTables(storage) ? storage.sql.exec<{ due: number | null }>(first).one().due : null;
    }
    if (this.#due === null) return null;
    // When it is further away than any wait, the clock was set back.
    return asUnixMs(this.#due > clock.now() + LONGEST_WAIT_MS ? clock.now() : this.#due);
  }

  #change(statement: string, ...values: (string | number | null)[]): void {
    this.#due = undefined;
    this.#parts.storage.sql.exec(statement, ...values);
  }

  async #run(): Promise<void> {
    const { sql } = this.#parts.storage;
    const [row] = sql.exec<Row>("SELECT * FROM archive_notices ORDER BY due_at, rowid LIMIT 1").toArray();
    if (row === undefined) return;
    const { id, url, secret, body } = row;
    const refused = await this.#parts.send({ id, url, secret, body });
    if (refused === null) return this.#change("DELETE FROM archive_notices WHERE id = ?1", id);
    if (refused.final || row.attempts + 1 >= MOST_ATTEMPTS) {
      this.#change("DELETE FROM archive_notices WHERE id = ?1", id);
      console.error(`database ${this.#parts.databaseId}: a failed archive was told to nobody. ${refused.error}`);
      return;
    }
    const dueAt = this.#parts.clock.now() + backoffMs(row.attempts, LONGEST_WAIT_MS, FIRST_WAIT_MS);
    this.#change(
      "UPDATE archive_notices SET attempts = attempts + 1, due_at = ?2, error = ?3 WHERE id = ?1",
      id,
      dueAt,
      refused.error,
    );
  }
}

function told({ id, type, status, error, createdAt, completedAt, destinations }: ArchiveInfo): object {
  return {
    id,
    type,
    status,
    error,
    createdAt: new Date(createdAt).toISOString(),
    completedAt: completedAt === null ? null : new Date(completedAt).toISOString(),
    destinations: destinations.map(({ name, type: kind, status: there, error: why }) => ({
      name,
      type: kind,
      status: there,
      error: why,
    })),
  };
}
