/**
 * What happens around the delivery of a message in the outbox: before it is sent, when it has arrived, when it has not arrived. Each is
 * one transaction together with what follows for the database and its job.
 */
import type { UnixMs } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import { MAX_DEATHS_OF_WORK } from "../core/limits.ts";
import type { SyncStorage } from "../core/storage.ts";
import type { BackupIds } from "./backup-ids.ts";
import type { Databases } from "./databases.ts";
import type { Jobs } from "./jobs.ts";
import type { Delivery, Message, Outbox } from "./outbox.ts";
import type { Tokens } from "./tokens.ts";

/** How long making a database is tried. After that nobody waits for it any more. */
const MAKING_MS = 60 * 60 * 1000;

const GIVEN_UP = failure(
  "conflict",
  `Given up: the server ended ${MAX_DEATHS_OF_WORK} times in a row while this was under way. Nothing is left of the database. If something else can have been the cause, send the request again.`,
);

export interface NotDelivered {
  /** Why the receiver refused for good; or "deaths": why it is not asked any more. null: it could not be reached. */
  readonly refused: { readonly by: "initialize" | "fill" | "deaths"; readonly why: Failure } | null;
  readonly error: string;
  /** The receiver ended during the delivery. */
  readonly died: boolean;
}

type NewDatabase = Extract<Message, { kind: "initialize" }>;

export interface DeliveryParts {
  readonly storage: SyncStorage;
  readonly outbox: Outbox;
  readonly databases: Databases;
  readonly jobs: Jobs;
  readonly backupIds: BackupIds;
  readonly tokens: Tokens;
}

export class Deliveries {
  readonly #parts: DeliveryParts;

  constructor(parts: DeliveryParts) {
    this.#parts = parts;
  }

  /**
   * To be called before a message is sent, and not while it is being sent. Returns why it must not be sent. A delivery that was under way
   * when the object died twice in a row may be the cause, and may end all other objects of the process with it. So the message is given
   * up where that is possible, else it is held back.
   */
  begin(delivery: Delivery, now: UnixMs): NotDelivered | undefined {
    const { id, begun, heldUntil, message } = delivery;
    const { storage, outbox, databases, jobs } = this.#parts;
    const isSuspect = begun >= MAX_DEATHS_OF_WORK;
    if (!isSuspect || (message.kind !== "initialize" && heldUntil !== null && heldUntil <= now)) {
      outbox.begin(id);
      return undefined;
    }
    if (message.kind === "initialize") {
      const notDelivered = { refused: { by: "deaths", why: GIVEN_UP }, error: GIVEN_UP.message, died: false } as const;
      storage.transactionSync(() => this.#giveUp(id, message, notDelivered, now));
      return notDelivered;
    }
    const error = `The server ended ${begun} times in a row while this was under way. It is tried again, after a while.`;
    if (heldUntil === null) {
      storage.transactionSync(() => {
        outbox.holdBack(delivery, error, now);
        const job = message.kind === "wipe" ? databases.get(message.subject)?.deletionJob : null;
        if (typeof job === "string") jobs.attemptFailed(job, error);
      });
    }
    return { refused: null, error, died: false };
  }

  /** A message arrived. What waited for it happens in one transaction with its removal. */
  arrived({ id, message }: Delivery, now: UnixMs): void {
    const { storage, outbox, databases, jobs, backupIds, tokens } = this.#parts;
    storage.transactionSync(() => {
      outbox.remove(id);
      if (message.kind === "initialize") databases.becomeReady(message.subject);
      if (message.kind === "wipe") {
        databases.becomeDeleted(message.subject);
        tokens.forgetDatabase(message.subject);
        backupIds.removeOfDatabase(message.subject);
        const job = databases.get(message.subject)?.deletionJob;
        // When the backup is deleted too, the job continues in another object. `restore-requests.ts` follows it.
        if (typeof job === "string" && !message.deleteBackups) jobs.complete(job, now);
      }
    });
  }

  /**
   * A message did not arrive, and is tried again later. A database whose object refuses to be made, or could not be reached for an hour,
   * is given up instead, so that it does not stay without end.
   */
  failed(delivery: Delivery, why: NotDelivered, now: UnixMs): void {
    const { id, message } = delivery;
    const { storage, outbox, databases, jobs } = this.#parts;
    storage.transactionSync(() => {
      const record = databases.get(message.subject);
      if (message.kind === "initialize" && record !== undefined) {
        const late = record.createdAt + MAKING_MS <= now;
        if (why.refused !== null || late) return this.#giveUp(id, message, why, now);
      }
      outbox.postpone(delivery, why, now);
      const job = message.kind === "wipe" ? record?.deletionJob : null;
      // The details stay with the message: a tenant is shown nothing of our inner workings.
      if (typeof job === "string") jobs.attemptFailed(job, "The database could not be reached. It is tried again.");
    });
  }

  #giveUp(id: number, { subject, filling }: NewDatabase, { refused }: NotDelivered, now: UnixMs): void {
    const { outbox, databases, jobs } = this.#parts;
    outbox.remove(id);
    if (!databases.giveUp(subject)) return;
    if (filling !== null && refused?.by === "deaths") jobs.fail(filling.jobId, refused.why.message, now);
    else if (filling !== null) jobs.remove(filling.jobId);
    // An object that never answered may have been made all the same. An object that refused to be initialized belongs to another
    // database.
    if (refused?.by !== "initialize") outbox.add({ kind: "wipe", subject, deleteBackups: false }, now);
  }
}
