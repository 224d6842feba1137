/**
 * What other objects must still be told. A message is written in the transaction that decided it and removed once it was
 * delivered, so it is delivered at least once whatever dies in between. Callers hold the transaction.
 */
import { backoffMs } from "../core/backoff.ts";
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import type { Sql, SqlValue } from "../core/storage.ts";

/** What a new database is filled with: it is ready when the job that fills it has begun. */
export interface Filling {
  readonly jobId: string;
  /** The database whose object begins the job: the new one itself, or the one that it becomes a fork of. */
  readonly asked: string;
  /** The command to it, encrypted: it may hold a destination's secret. */
  readonly sealed: string;
}

/** `subject` is the database, or for "forget" the organization, which the index forgets. */
export type Message =
  | { readonly kind: "initialize"; readonly subject: string; readonly filling: Filling | null }
  | { readonly kind: "revoke"; readonly subject: string; readonly tokenId: string; readonly until: UnixMs }
  | { readonly kind: "wipe"; readonly subject: string; readonly deleteBackups: boolean }
  | { readonly kind: "forget"; readonly subject: string };

export interface Delivery {
  readonly id: number;
  readonly attempts: number;
  readonly message: Message;
}

/** The request that wrote a message delivers it itself; the alarm takes over when that has not happened by then. */
const FIRST_ALARM_MS = 5_000;
const LONGEST_RETRY_MS = 5 * 60_000;

/** How many are read at once: a bound on memory, and on what one alarm does. */
const BATCH = 100;

interface Row extends Record<string, SqlValue> {
  id: number;
  kind: Message["kind"];
  subject: string;
  token_id: string | null;
  until: number | null;
  delete_backups: number;
  filling: string | null;
  attempts: number;
}

export class Outbox {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  add(message: Message, now: UnixMs): void {
    this.#sql.exec(
      "INSERT INTO outbox (kind, subject, token_id, until, delete_backups, filling, due_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
      message.kind,
      message.subject,
      message.kind === "revoke" ? message.tokenId : null,
      message.kind === "revoke" ? message.until : null,
      message.kind === "wipe" && message.deleteBackups ? 1 : 0,
      message.kind === "initialize" && message.filling !== null ? JSON.stringify(message.filling) : null,
      now + FIRST_ALARM_MS,
    );
  }

  /** When the alarm must deliver something, if anything waits. */
  dueAt(): UnixMs | null {
    const due = this.#sql.exec<{ due: number | null }>("SELECT min(due_at) AS due FROM outbox").one().due;
    return due === null ? null : asUnixMs(due);
  }

  due(now: UnixMs): readonly Delivery[] {
    return this.#sql
      .exec<Row>("SELECT * FROM outbox WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2", now, BATCH)
      .toArray()
      .map(deliveryOf);
  }

  ofSubject(subject: string): readonly Delivery[] {
    return this.#sql
      .exec<Row>("SELECT * FROM outbox WHERE subject = ?1 ORDER BY id", subject)
      .toArray()
      .map(deliveryOf);
  }

  /** The revocations of a token that have not arrived yet, a batch of them. */
  ofToken(tokenId: string): readonly Delivery[] {
    return this.#sql
      .exec<Row>("SELECT * FROM outbox WHERE token_id = ?1 ORDER BY due_at LIMIT ?2", tokenId, BATCH)
      .toArray()
      .map(deliveryOf);
  }

  remove(id: number): void {
    this.#sql.exec("DELETE FROM outbox WHERE id = ?1", id);
  }

  /** It did not arrive: again after a while, which doubles each time. */
  postpone({ id, attempts }: Delivery, error: string, now: UnixMs): void {
    this.#sql.exec(
      "UPDATE outbox SET attempts = attempts + 1, due_at = ?2, error = ?3 WHERE id = ?1",
      id,
      now + backoffMs(attempts, LONGEST_RETRY_MS),
      error.slice(0, 500),
    );
  }
}

function deliveryOf(row: Row): Delivery {
  return { id: row.id, attempts: row.attempts, message: messageOf(row) };
}

function messageOf({ kind, subject, token_id, until, delete_backups, filling }: Row): Message {
  switch (kind) {
    case "revoke":
      return { kind, subject, tokenId: token_id ?? "", until: asUnixMs(until ?? 0) };
    case "wipe":
      return { kind, subject, deleteBackups: delete_backups === 1 };
    case "initialize":
      // Written above, from a value of this type.
      return { kind, subject, filling: filling === null ? null : (JSON.parse(filling) as Filling) };
    case "forget":
      return { kind, subject };
  }
}
