/**
 * An object has one alarm; this gives it to many tasks. The alarm stands at the earliest time that any task is due. Tasks run
 * beside each other, each one once at a time: one that waits for a slow destination keeps none of the others. A task that
 * throws is recorded and tried again after a backoff of ours: the platform's own retries end after a few minutes, for good, so
 * the alarm handler never throws. The alarm is set again last, on every path, and a request has it set again, after its answer, when
 * it finds it missing or overdue. A task that the object dies of is not run for ever either: `unfinished-tasks.ts`.
 */
import { backoffMs } from "../core/backoff.ts";
import { asUnixMs, type Clock, earliest, type UnixMs } from "../core/clock.ts";
import type { Timers } from "../core/timers.ts";
import { DeferredAlarm } from "./deferred-alarm.ts";
import type { ObjectTables } from "./object-tables.ts";
import { LATE_MS, UnfinishedTasks } from "./unfinished-tasks.ts";

export interface Task {
  readonly name: string;
  /** When it wants to run next, in the past if it is late; null: not until something changes. */
  dueAt(): UnixMs | null;
  /** One slice of its work. What is left shows in `dueAt`. */
  run(): void | Promise<void>;
  /** It writes down by itself what the object may die of. */
  readonly keepsOwnRecord?: true;
  /** The object has died of it, or beside it, too often: it is not run for a while, for this reason. */
  heldBack?(reason: string): void;
}

/** The part of DurableObjectStorage that is needed here. */
export interface AlarmStorage {
  getAlarm(): Promise<number | null>;
  setAlarm(at: number): Promise<void>;
  deleteAlarm(): Promise<void>;
  sync(): Promise<void>;
}

const LONGEST_RETRY_MS = 30_000;

/**
 * While some task still runs, others that become due are run by the same alarm; one that is due again as soon as it has run, only
 * for this long: the work and the requests of one alarm are bounded.
 */
const GREEDY_MS = 5_000;

/** Between two runs others get their turn. */
const TURN_MS = 1;

/** While tasks run, due times are looked at this often at the least. */
const LOOK_MS = 1_000;

/** An alarm that the runtime has not rung this long after its time is taken for lost. */
const OVERDUE_MS = 5_000;

const FIRST_ALARM_MS = 1;

/** In the year 2255. The platform counts nanoseconds in 64 bits, and throws for a time that does not fit: from 2262 on. */
const LAST_ALARM_MS = 9_000_000_000_000;

interface FailedTask {
  readonly attempts: number;
  readonly retryAt: UnixMs;
}

export interface AlarmParts {
  /** Names the object among all that there are. */
  readonly object: string;
  readonly clock: Clock;
  readonly timers: Timers;
  /** From 0 to 1: spreads what would be tried again at once. */
  readonly random: () => number;
}

export class AlarmClock {
  readonly #storage: AlarmStorage;
  readonly #tables: ObjectTables;
  readonly #deferred: DeferredAlarm;
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #tasks: readonly Task[];
  readonly #failed = new Map<string, FailedTask>();
  readonly #unfinished: UnfinishedTasks;
  /** Where the alarm stands; null: it is not set. */
  #setTo: UnixMs | null = null;
  #ringing = false;
  #stopped = false;
  /** Ends the wait between two looks at what is due. */
  #look: () => void = () => undefined;

  /** `tables`: of the same object. */
  constructor(storage: AlarmStorage, tables: ObjectTables, parts: AlarmParts, tasks: readonly Task[]) {
    this.#storage = storage;
    this.#tables = tables;
    this.#clock = parts.clock;
    this.#timers = parts.timers;
    this.#tasks = tasks;
    this.#deferred = new DeferredAlarm({
      ...parts,
      set: (at) => this.#setDeferred(at),
      stored: () => storage.sync(),
    });
    this.#readFailed();
    this.#unfinished = new UnfinishedTasks(tables, this.#clock, parts.random);
  }

  /** Learns where the alarm stands and has it set if that is not early enough. To be awaited before the first request. */
  async start(): Promise<void> {
    const at = await this.#storage.getAlarm();
    this.#setTo = at === null ? null : asUnixMs(at);
    if (at !== null && at + LATE_MS < this.#clock.now()) this.#suspectWhatIsDue();
    for (const task of this.#tasks) {
      const reason = this.#unfinished.reason(task.name);
      if (reason !== null) task.heldBack?.(reason);
    }
    const next = this.#nextDue();
    if (next !== null) this.dueLater(next);
  }

  /** A task became due at this time: moves the alarm if it stands later. Costs nothing when it does not. */
  dueBy(at: UnixMs): void {
    // The alarm is set when the ring ends; until then tasks that become due are run by it.
    if (this.#ringing) this.#look();
    else if (this.#setTo === null || at < this.#setTo) this.#set(at);
  }

  /** As `dueBy`, for a task that nothing depends on which is being written: the alarm is moved after the answer that is under way. */
  dueLater(at: UnixMs): void {
    if (this.#ringing) this.#look();
    else if (this.#setTo === null || at < this.#setTo) this.#deferred.ask(at);
  }

  /** For every request: an alarm whose time is long over without having rung is set and rung, or one set that could not be set before. */
  rescue(): void {
    if (this.#ringing) return;
    if (this.#isOverdue()) this.#deferred.ask(this.#clock.now());
    else this.#deferred.retry();
  }

  /** What the object held is gone: nothing is run, recorded or set any more, and what runs just now ends as it may. */
  stop(): void {
    this.#stopped = true;
    this.#deferred.stop();
    this.#look();
  }

  /** The alarm handler: runs what is due. Never throws. `isRetry`: the platform has rung this alarm before, and the object died. */
  async ring(isRetry = false): Promise<void> {
    if (this.#ringing) return;
    if (isRetry) this.#suspectWhatIsDue();
    this.#ringing = true;
    this.#setTo = null;
    try {
      await this.#runWhatIsDue();
    } finally {
      this.#ringing = false;
      const next = this.#nextDue();
      if (next !== null) this.dueBy(next);
    }
  }

  async #runWhatIsDue(): Promise<void> {
    const began = this.#clock.now();
    const running = new Map<Task, Promise<void>>();
    const ran = new Set<Task>();
    /** Those that were due again as soon as they had run. */
    const greedy = new Set<Task>();
    const startOf = (task: Task): UnixMs | null => {
      if (running.has(task) || (ran.has(task) && running.size === 0)) return null;
      if (greedy.has(task) && this.#clock.now() - began >= GREEDY_MS) return null;
      return this.#dueAt(task);
    };
    const start = (task: Task): void => {
      ran.add(task);
      const run = this.#run(task).finally(() => {
        running.delete(task);
        const due = this.#dueAt(task);
        if (due !== null && due <= this.#clock.now()) greedy.add(task);
        else greedy.delete(task);
      });
      running.set(task, run);
    };
    for (;;) {
      for (const task of this.#tasks) {
        const due = startOf(task);
        if (due !== null && due <= this.#clock.now()) start(task);
      }
      if (running.size === 0) return;
      await this.#untilAny([...running.values()], earliest(this.#tasks.map(startOf)));
      if (running.size > 0) await new Promise<void>((resolve) => void this.#timers.after(TURN_MS, resolve));
    }
  }

  /** Until one of them ends, or it is time to look again. */
  async #untilAny(running: readonly Promise<void>[], next: UnixMs | null): Promise<void> {
    const wait = next === null ? LOOK_MS : Math.min(LOOK_MS, Math.max(TURN_MS, next - this.#clock.now()));
    const looked = Promise.withResolvers<void>();
    this.#look = looked.resolve;
    const cancelTimer = this.#timers.after(wait, looked.resolve);
    await Promise.race([...running, looked.promise]);
    cancelTimer();
  }

  async #run(task: Task): Promise<void> {
    try {
      if (task.keepsOwnRecord !== true) this.#unfinished.begin(task.name);
      await task.run();
      this.#succeeded(task);
    } catch (error) {
      this.#hasFailed(task, error);
    }
    if (!this.#stopped) this.#unfinished.end(task.name);
  }

  #suspectWhatIsDue(): void {
    const due = this.#tasks.filter((task) => {
      const at = task.keepsOwnRecord === true ? null : task.dueAt();
      // What is always due says so with a time that is later than any that was asked for before.
      return at !== null && at <= this.#clock.now();
    });
    this.#unfinished.suspect(due.map(({ name }) => name));
  }

  #readFailed(): void {
    if (!this.#tables.has("failed_tasks")) return;
    const rows = this.#tables.storage.sql.exec<{ name: string; attempts: number; retry_at: number }>(
      "SELECT name, attempts, retry_at FROM failed_tasks",
    );
    for (const { name, attempts, retry_at } of rows) {
      this.#failed.set(name, { attempts, retryAt: asUnixMs(retry_at) });
    }
  }

  #succeeded(task: Task): void {
    if (this.#stopped || !this.#failed.delete(task.name)) return;
    this.#tables.storage.sql.exec("DELETE FROM failed_tasks WHERE name = ?1", task.name);
  }

  #hasFailed(task: Task, error: unknown): void {
    if (this.#stopped) return;
    const failuresBefore = this.#failed.get(task.name)?.attempts ?? 0;
    const attempts = failuresBefore + 1;
    const delay = backoffMs(failuresBefore, LONGEST_RETRY_MS);
    const retryAt = asUnixMs(this.#clock.now() + delay);
    this.#failed.set(task.name, { attempts, retryAt });
    console.error(`task ${task.name} failed (attempt ${attempts}, next in ${delay} ms): ${String(error)}`);
    this.#tables.make("failed_tasks");
    this.#tables.storage.sql.exec(
      `INSERT INTO failed_tasks (name, attempts, retry_at, error) VALUES (?1, ?2, ?3, ?4)
       ON CONFLICT (name) DO UPDATE SET attempts = excluded.attempts, retry_at = excluded.retry_at, error = excluded.error`,
      task.name,
      attempts,
      retryAt,
      String(error),
    );
  }

  #dueAt(task: Task): UnixMs | null {
    if (this.#stopped) return null;
    const due = task.dueAt();
    if (due === null) return null;
    const retryAt = this.#failed.get(task.name)?.retryAt ?? due;
    // Further away than any backoff: the clock was set back.
    const retried = retryAt > this.#clock.now() + LONGEST_RETRY_MS ? due : Math.max(due, retryAt);
    return asUnixMs(Math.max(retried, this.#unfinished.notBefore(task.name) ?? 0));
  }

  #nextDue(): UnixMs | null {
    return earliest(this.#tasks.map((task) => this.#dueAt(task)));
  }

  #isOverdue(): boolean {
    return this.#setTo !== null && this.#setTo + OVERDUE_MS < this.#clock.now();
  }

  /** Meanwhile it may have been set earlier than that, or have rung. */
  #setDeferred(at: UnixMs): void {
    if (this.#ringing) return;
    const isOverdue = this.#isOverdue();
    if (this.#setTo === null || at < this.#setTo || isOverdue) this.#set(at);
    // workerd rings an object no more whose last alarm was ringing when it was reset: what is due is run without it.
    if (isOverdue) void this.ring();
  }

  #set(wanted: UnixMs): void {
    if (this.#stopped) return;
    // The platform takes no time before 1970, which is as good as any other in the past; an alarm that rings before its time is set again.
    const at = asUnixMs(Math.min(Math.max(wanted, FIRST_ALARM_MS), LAST_ALARM_MS));
    if (at === this.#setTo) return;
    this.#setTo = at;
    // The write is ordered with the storage's others and the output gate waits for it; a failure resets the object.
    void this.#storage.setAlarm(at);
  }
}
