/**
 * The tasks of a backup that call its destination. A failed task is tried again, less and less often. The owner sees the error until
 * every task succeeds again. The state of each task is stored, because the object sleeps between two tries. A set-up that fails for too
 * long, for a reason that somebody must remove, is given up.
 */
import type { Clock, UnixMs } from "../../core/clock.ts";
import { type Failure, isFailure } from "../../core/errors.ts";
import { Backoff, type Failing } from "./backoff.ts";
import type { Configuration, ConfigurationTable } from "./configuration.ts";
import type { Destination, DestinationFailure } from "../destinations/destination.ts";
import type { OwnDestination } from "./own-destination.ts";
import type { Ownership } from "./ownership.ts";
import type { BackupPolicy } from "./policy.ts";
import type { BackupTask } from "../sources.ts";

export interface DestinationTasksOptions {
  readonly clock: Clock;
  readonly policy: BackupPolicy;
  readonly configurations: ConfigurationTable;
  readonly destination: OwnDestination;
  readonly ownership: Ownership;
  /** A slice has ended, whether it failed or not. */
  readonly sliceEnded: () => void;
  /** The set-up was given up: nothing is sent any more. */
  readonly gaveUp: () => void;
}

export interface DestinationTask {
  readonly name: string;
  readonly due: (configuration: Configuration) => UnixMs | null;
  /** For a task that is not due: whether it has work that waits for another task. Then it still counts as failing. */
  readonly hasMore?: () => boolean;
  /** Does one slice. null: it succeeded. */
  readonly work: (destination: Destination, configuration: Configuration) => Promise<DestinationFailure | null>;
  /** How far the work is: see `BackupTask.place`. */
  readonly place?: () => string;
  /** The task stores nothing, and takes no generation over from another process. */
  readonly onlyLooks?: true;
  /** The longest wait between two tries after the destination refused. */
  readonly longestWaitMs?: number;
}

interface Standing {
  readonly name: string;
  readonly backoff: Backoff;
  /** The task has nothing to do, now or later. */
  readonly isDone: (configuration: Configuration) => boolean;
}

export class DestinationTasks {
  readonly #options: DestinationTasksOptions;
  readonly #standings: Standing[] = [];
  #slicesUnderWay = 0;

  constructor(options: DestinationTasksOptions) {
    this.#options = options;
  }

  /** Whether a slice is under way that may be sending. */
  get isBusy(): boolean {
    return this.#slicesUnderWay > 0;
  }

  isFailing(task: string): boolean {
    return this.#standings.some(({ name, backoff }) => name === task && backoff.failing !== null);
  }

  /** The destination works again, so nothing needs to wait for it. */
  wake(): void {
    for (const { backoff } of this.#standings) backoff.succeeded();
    this.#options.configurations.noteFailing({});
  }

  /** Each task needs a different name, which must never change: its stored state is found by the name. */
  add(task: DestinationTask): BackupTask {
    const { clock, configurations, sliceEnded } = this.#options;
    const { name, due, hasMore, place, longestWaitMs } = task;
    const backoff = new Backoff(clock, configurations.get()?.failing[name] ?? null, longestWaitMs);
    const isDone = (configuration: Configuration) => due(configuration) === null && hasMore?.() !== true;
    this.#standings.push({ name, backoff, isDone });
    const current = (): Configuration | null => {
      const configuration = configurations.get();
      return configuration === null || configuration.paused || configuration.failed !== null ? null : configuration;
    };
    return {
      name,
      ...(place === undefined ? {} : { place }),
      heldBack: (reason) => {
        const error = `${name}: ${reason}`;
        if (current() === null || configurations.get()?.error?.message === error) return;
        // This error stays until this task succeeds, even when other tasks succeed.
        backoff.failed({});
        configurations.noteError(error, clock.now(), this.#failing());
      },
      dueAt: () => {
        const configuration = current();
        return configuration === null ? null : backoff.notBefore(due(configuration));
      },
      run: async () => {
        const configuration = current();
        if (configuration === null) return;
        this.#slicesUnderWay += 1;
        const failed = await this.#slice(configuration, task).finally(() => {
          this.#slicesUnderWay -= 1;
        });
        if (configurations.get()?.id !== configuration.id) return;
        if (failed === null) this.#succeeded(backoff, configuration);
        else this.#failed(backoff, failed);
        sliceEnded();
      },
    };
  }

  async #slice(
    configuration: Configuration,
    { work, onlyLooks }: DestinationTask,
  ): Promise<DestinationFailure | Failure | null> {
    const { configurations, ownership } = this.#options;
    const destination = await this.#options.destination.open(configuration);
    if (isFailure(destination)) return destination;
    const failed = onlyLooks === true ? null : await ownership.secure(destination, configuration.databaseId);
    return failed ?? work(destination, configurations.get() ?? configuration);
  }

  #succeeded(backoff: Backoff, configuration: Configuration): void {
    const { configurations } = this.#options;
    const failedBefore = backoff.failing !== null;
    backoff.succeeded();
    // A failed task that has nothing to do any more will never succeed.
    for (const standing of this.#standings) {
      if (standing.backoff.failing !== null && standing.isDone(configuration)) standing.backoff.succeeded();
    }
    const failing = this.#failing();
    if (Object.keys(failing).length > 0) {
      if (failedBefore) configurations.noteFailing(this.#hurried());
    } else if (configurations.get()?.error !== null) {
      configurations.clearError();
    }
  }

  #failed(backoff: Backoff, failed: DestinationFailure | Failure): void {
    const { clock, policy, configurations, gaveUp } = this.#options;
    const now = clock.now();
    backoff.failed("class" in failed ? failed : {});
    configurations.noteError(failed.message, now, this.#failing());
    const configuration = configurations.get();
    if (configuration === null || configuration.active || configuration.error === null) return;
    const mayPass = "class" in failed && failed.class === "retry";
    if (mayPass || now - configuration.error.since < policy.setUpGivesUpMs) return;
    configurations.setFailed(failed.message);
    gaveUp();
  }

  /** The destination now does something that it refused before. So other tasks that it refused are tried soon. */
  #hurried(): Record<string, Failing> {
    for (const { backoff } of this.#standings) backoff.hurry();
    return this.#failing();
  }

  /** The failing tasks, by name. */
  #failing(): Record<string, Failing> {
    return Object.fromEntries(
      this.#standings.flatMap(({ name, backoff: { failing } }) => (failing === null ? [] : [[name, failing]])),
    );
  }
}
