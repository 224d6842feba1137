/**
 * Messages that other objects must still get. A message is written in the transaction that decided it, and removed after it was
 * delivered. So it is delivered at least once, whatever dies in between. Callers hold the transaction.
 *
 * A message whose delivery kills the object must not be delivered without end. So the beginning of a delivery is stored (`begun`, one row),
 * and its end removes that. A delivery that is stored as begun when the object starts was under way when the object died.
 */
import { backoffMs } from "../core/backoff.ts";
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { MAX_DEATHS_OF_WORK } from "../core/limits.ts";
import type { Sql, SqlValue } from "../core/storage.ts";

/** What a new database is filled with. It is ready when the job that fills it has begun. */
export interface Filling {
  readonly jobId: string;
  /** The database whose object begins the job: the new one itself, or the one that it becomes a fork of. */
  readonly asked: string;
  /** The command to that object, encrypted: it may hold a destination's secret. */
  readonly sealed: string;
}

/** `subject` is a database; for "forget" it is an organization, which the index forgets. */
export type Message =
  | { readonly kind: "initialize"; readonly subject: string; readonly filling: Filling | null }
  | {
      readonly kind: "revoke";
      readonly subject: string;
      readonly tokenId: string;
      readonly until: UnixMs;
      /** The token whose API keys are deleted: the same one, or one under it that is gone. null: none are. */
      readonly keysOf: string | null;
    }
  | { readonly kind: "wipe"; readonly subject: string; readonly deleteBackups: boolean }
  | { readonly kind: "forget"; readonly subject: string };

export interface Delivery {
  readonly id: number;
  readonly attempts: number;
  /** How many deliveries in a row have begun and not ended. When none is under way now, the object died during these. */
  readonly begun: number;
  /** The message is not sent before this time, because of so many deaths. null: that is not decided yet. */
  readonly heldUntil: UnixMs | null;
  readonly message: Message;
}

/** The request that wrote a message delivers it. If that has not happened by then, the alarm takes over. */
const FIRST_ALARM_MS = 5_000;
const LONGEST_RETRY_MS = 5 * 60_000;

/**
 * How long a message that must arrive is held back when its delivery was under way at many deaths. Each further death doubles the time.
 */
const FIRST_HOLD_MS = 15 * 60_000;
const LONGEST_HOLD_MS = 6 * 60 * 60_000;

/** Messages that are read at once: a limit for memory, and for the work of one alarm. */
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
  due_at: number;
  begun: number;
  /** The value of `begun` when the message was last held back. */
  held: number;
  keys_of: string | null;
}

export class Outbox {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  add(message: Message, now: UnixMs): void {
    this.#sql.exec(
      "INSERT INTO outbox (kind, subject, token_id, until, delete_backups, filling, due_at, keys_of) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
      message.kind,
      message.subject,
      message.kind === "revoke" ? message.tokenId : null,
      message.kind === "revoke" ? message.until : null,
      message.kind === "wipe" && message.deleteBackups ? 1 : 0,
      message.kind === "initialize" && message.filling !== null ? JSON.stringify(message.filling) : null,
      now + FIRST_ALARM_MS,
      message.kind === "revoke" ? message.keysOf : null,
    );
  }

  /** When the alarm must deliver something. null: nothing waits. */
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

  /** The revocations of a token that have not arrived yet, one batch of them. */
  ofToken(tokenId: string): readonly Delivery[] {
    return this.#sql
      .exec<Row>("SELECT * FROM outbox WHERE token_id = ?1 ORDER BY due_at LIMIT ?2", tokenId, BATCH)
      .toArray()
      .map(deliveryOf);
  }

  get(id: number): Delivery | undefined {
    return this.#sql.exec<Row>("SELECT * FROM outbox WHERE id = ?1", id).toArray().map(deliveryOf)[0];
  }

  /** To be called before a message is sent. Writes one row. */
  begin(id: number): void {
    this.#sql.exec("UPDATE outbox SET begun = begun + 1 WHERE id = ?1", id);
  }

  remove(id: number): void {
    this.#sql.exec("DELETE FROM outbox WHERE id = ?1", id);
  }

  /**
   * The message did not arrive, and is tried again after a while, which doubles each time. When the receiver died during the delivery,
   * the delivery counts as not ended.
   */
  postpone(
    { id, attempts }: Delivery,
    { error, died }: { readonly error: string; readonly died: boolean },
    now: UnixMs,
  ): void {
    this.#sql.exec(
      `UPDATE outbox SET attempts = attempts + 1, due_at = ?2, error = ?3, begun = ${died ? "begun" : "0"} WHERE id = ?1`,
      id,
      now + backoffMs(attempts, LONGEST_RETRY_MS),
      error.slice(0, 500),
    );
  }

  /** The delivery was under way at many deaths, and is tried again after a long while. */
  holdBack({ id, begun }: Delivery, error: string, now: UnixMs): void {
    const hold = backoffMs(begun - MAX_DEATHS_OF_WORK, LONGEST_HOLD_MS, FIRST_HOLD_MS);
    this.#sql.exec("UPDATE outbox SET held = begun, due_at = ?2, error = ?3 WHERE id = ?1", id, now + hold, error);
  }
}

function deliveryOf(row: Row): Delivery {
  const { id, attempts, begun, held, due_at } = row;
  return { id, attempts, begun, heldUntil: held === begun ? asUnixMs(due_at) : null, message: messageOf(row) };
}

function messageOf({ kind, subject, token_id, until, delete_backups, filling, keys_of }: Row): Message {
  switch (kind) {
    case "revoke":
      return { kind, subject, tokenId: token_id ?? "", until: asUnixMs(until ?? 0), keysOf: keys_of };
    case "wipe":
      return { kind, subject, deleteBackups: delete_backups === 1 };
    case "initialize":
      // This class wrote it, from a value of this type.
      return { kind, subject, filling: filling === null ? null : (JSON.parse(filling) as Filling) };
    case "forget":
      return { kind, subject };
  }
}
