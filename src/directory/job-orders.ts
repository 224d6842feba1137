/**
 * Orders for jobs that databases carry out. The row of a job is written before its database is asked, so that no job is lost after a
 * kill. It is written with the idempotency key of the order, so that a job is ordered once. Only the database knows the progress of a
 * job.
 */
import { assert } from "../core/assert.ts";
import type { UnixMs } from "../core/clock.ts";
import type { Failure } from "../core/errors.ts";
import type { Idempotency } from "../contracts/idempotency.ts";
import type { DatabaseInfo, Job } from "../contracts/resources.ts";
import type { SyncStorage } from "../core/storage.ts";
import type { Jobs } from "./jobs.ts";
import type { Admitted } from "./scopes.ts";
import type { Filling } from "./outbox.ts";

export type NewDatabase = Pick<DatabaseInfo, "name" | "description" | "locationHint" | "jurisdiction">;

export interface NewJob {
  readonly kind: Job["kind"];
  readonly databaseId: string;
  readonly idempotency: Idempotency | null;
}

/** What the organization stores besides jobs. Called in a transaction. */
interface OrganizationStore {
  /** The id of what an earlier request with this key made. `conflict` when that was another request. */
  madeBefore(who: Admitted, idempotency: Idempotency | null, now: UnixMs): string | null | Failure;
  addDatabase(wanted: NewDatabase, id: string, filling: Filling | null, now: UnixMs): Failure | undefined;
  added(who: Admitted, idempotency: Idempotency | null, jobId: string, now: UnixMs): void;
}

export class JobOrders {
  readonly #storage: SyncStorage;
  readonly #jobs: Jobs;
  readonly #store: OrganizationStore;

  constructor(storage: SyncStorage, jobs: Jobs, store: OrganizationStore) {
    this.#storage = storage;
    this.#jobs = jobs;
    this.#store = store;
  }

  /** The job of an earlier request with this key, unless it was refused. `conflict` when that was another request. */
  madeBefore(who: Admitted, idempotency: Idempotency | null, now: UnixMs): Job | null | Failure {
    const made = this.#store.madeBefore(who, idempotency, now);
    return typeof made === "string" ? (this.#jobs.get(made) ?? null) : made;
  }

  /** Returns the job that the idempotency key made before, if there is one. Its database may not know of it. */
  add(who: Admitted, wanted: NewJob, newId: string, now: UnixMs): Job | Failure {
    return this.#storage.transactionSync(
      () => this.madeBefore(who, wanted.idempotency, now) ?? this.#add(who, wanted, newId, now),
    );
  }

  /**
   * A new database and the job that fills it, or the job that the idempotency key made before. The database is not visible before the job
   * has begun. When the job is refused, neither is left.
   */
  addFilled(
    who: Admitted,
    wanted: NewDatabase,
    databaseId: string,
    filling: Filling,
    idempotency: Idempotency | null,
    now: UnixMs,
  ): Job | Failure {
    return this.#storage.transactionSync(
      () =>
        this.madeBefore(who, idempotency, now) ??
        this.#store.addDatabase(wanted, databaseId, filling, now) ??
        this.#add(who, { kind: "database.fork", databaseId, idempotency }, filling.jobId, now),
    );
  }

  #add(who: Admitted, { kind, databaseId, idempotency }: NewJob, id: string, now: UnixMs): Job {
    this.#jobs.add(id, kind, databaseId, now);
    this.#store.added(who, idempotency, id, now);
    const job = this.#jobs.get(id);
    assert(job !== undefined, "the job that was just added");
    return job;
  }
}
