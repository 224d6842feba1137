/** A storage whose process dies at chosen transactions: each is carried out, and nothing of it is kept. */
import type { BackupJob } from "../../../src/contracts/restore-commands.ts";
import type { Synchronous, SyncStorage } from "../../../src/core/storage.ts";
import type { TestRestore } from "./restore.ts";

export class DyingStorage implements SyncStorage {
  readonly sql: SyncStorage["sql"];
  /** The transaction that it dies at, counted from the next; 0: none. */
  dieAt = 0;
  readonly #storage: SyncStorage;

  constructor(storage: SyncStorage) {
    this.#storage = storage;
    this.sql = storage.sql;
  }

  transactionSync<T>(callback: () => Synchronous<T>): T {
    this.dieAt -= 1;
    const isLast = this.dieAt === 0;
    return this.#storage.transactionSync(() => {
      const done = callback();
      if (isLast) throw new Error("killed");
      return done;
    });
  }
}

/**
 * Runs the job "a" to its end, killed at every transaction of each slice and opened anew after it. `look` is called after each. Returns
 * how often it was killed.
 */
export async function killedAtEachTransaction(
  target: Pick<TestRestore, "slice" | "reopen" | "job">,
  storage: DyingStorage,
  look: (job: BackupJob) => void,
): Promise<number> {
  let killed = 0;
  for (let at = 1; ; at++) {
    storage.dieAt = at;
    const died = await target.slice().then(
      () => false,
      () => true,
    );
    storage.dieAt = 0;
    killed += Number(died);
    target.reopen();
    const job = await target.job({ command: "job", jobId: "a" });
    look(job);
    if (job.status === "completed") return killed;
    if (!died) at = 0;
  }
}
