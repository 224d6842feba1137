/**
 * An object has one alarm, and this class shares it among many tasks. The alarm is set to the earliest time at which a task is due. Tasks
 * run concurrently, each once at a time, so a task that waits for a slow destination delays no other. A task that throws is recorded and
 * tried again after a backoff of ours. The platform's own retries end after a few minutes for good, so the alarm handler never throws. On
 * every path the alarm is set again last. A request that finds the alarm missing or overdue sets it again, after its answer. A task that
 * kills the object is not run without end either: see `unfinished-tasks.ts`.
 */
import { backoffMs } from "../core/backoff.ts";
import { asUnixMs, type Clock, earliest, type UnixMs } from "../core/clock.ts";
import type { Timers } from "../core/timers.ts";
import { DeferredAlarm } from "./deferred-alarm.ts";
import type { ObjectTables } from "./object-tables.ts";
import { LATE_MS, UnfinishedTasks } from "./unfinished-tasks.ts";

export interface Task {
  readonly name: string;
  /** When the task wants to run next; in the past if it is late. null: not until something changes. */
  dueAt(): UnixMs | null;
  /** Does one slice of the work. If there is more, `dueAt` says so. */
  run(): void | Promise<void>;
  /** How far the work is, by what is stored. A run that leaves it as it was has brought nothing. Without it: each run brings something. */
  place?(): string;
  /** The task itself stores what may kill the object. */
  readonly keepsOwnRecord?: true;
  /** The object died too often while the task was running. The task is not run for a while, for this reason. */
  heldBack?(reason: string): void;
}

/** The part of DurableObjectStorage that this class needs. */
export interface AlarmStorage {
  getAlarm(): Promise<number | null>;
  setAlarm(at: number): Promise<void>;
  deleteAlarm(): Promise<void>;
  sync(): Promise<void>;
}

const LONGEST_RETRY_MS = 30_000;

/**
 * While a task still runs, the same alarm also runs others that become due. A task that is due again as soon as it has run is run again
 * only for this long, so that the work and the requests of one alarm are bounded.
 */
const GREEDY_MS = 5_000;

/** The pause between two runs of a task, in which other tasks get their turn. */
const TURN_MS = 1;

/** While tasks run, due times are checked at least this often. */
const LOOK_MS = 1_000;

/** An alarm that the runtime has not rung this long after its time counts as lost. */
const OVERDUE_MS = 5_000;

const FIRST_ALARM_MS = 1;

/** A time in the year 2255. The platform counts nanoseconds in 64 bits, and throws for times that do not fit: from 2262 on. */
const LAST_ALARM_MS = 9_000_000_000_000;

interface FailedTask {
  readonly attempts: number;
  readonly retryAt: UnixMs;
}

export interface AlarmParts {
  /** The name of the object, unique among all objects. */
  readonly object: string;
  readonly clock: Clock;
  readonly timers: Timers;
  /** From 0 to 1. Spreads tries that would otherwise come at the same time. */
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
  /** The time that the alarm is set to. null: it is not set. */
  #setTo: UnixMs | null = null;
  #ringing = false;
  #stopped = false;
  /** Ends the wait between two checks of due times. */
  #look: () => void = () => undefined;

  /** `tables` belong to the same object as `storage`. */
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

  /** Reads the time that the alarm is set to, and sets it anew if that is too late. To be awaited before the first request. */
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

  /** A task has become due at this time. Moves the alarm if it is set to a later time, else costs nothing. */
  dueBy(at: UnixMs): void {
    // The alarm is set again at the end of the ring. Until then, the ring runs tasks that become due.
    if (this.#ringing) this.#look();
    else if (this.#setTo === null || at < this.#setTo) this.#set(at);
  }

  /** As `dueBy`, for a task that no pending write depends on: the alarm is moved only after the answer that is under way. */
  dueLater(at: UnixMs): void {
    if (this.#ringing) this.#look();
    else if (this.#setTo === null || at < this.#setTo) this.#deferred.ask(at);
  }

  /**
   * Called by every request. When the alarm's time has long passed, it is set again and rung. When it could not be set before, it is set.
   */
  rescue(): void {
    if (this.#ringing) return;
    if (this.#isOverdue()) this.#deferred.ask(this.#clock.now());
    else this.#deferred.retry();
  }

  /** The contents of the object are gone: nothing is run, recorded or set any more. What runs at this moment ends in whatever way. */
  stop(): void {
    this.#stopped = true;
    this.#deferred.stop();
    this.#look();
  }

  /**
   * The alarm handler: runs the tasks that are due. Never throws. `isRetry`: the platform rings this alarm again because the object died.
   */
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
    /** Tasks that were due again as soon as they had run. */
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

  /** Waits until one of them ends, or until the next check of due times. */
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
      if (task.keepsOwnRecord !== true) this.#unfinished.begin(task);
      await task.run();
      this.#succeeded(task);
    } catch (error) {
      this.#hasFailed(task, error);
    }
    if (!this.#stopped) this.#unfinished.end(task);
  }

  #suspectWhatIsDue(): void {
    const due = this.#tasks.filter((task) => {
      const at = task.keepsOwnRecord === true ? null : task.dueAt();
      // A task that is always due returns the present time, so the clock is read after that.
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
    // When it is further away than any backoff, the clock was set back.
    const retried = retryAt > this.#clock.now() + LONGEST_RETRY_MS ? due : Math.max(due, retryAt);
    return asUnixMs(Math.max(retried, this.#unfinished.notBefore(task.name) ?? 0));
  }

  #nextDue(): UnixMs | null {
    return earliest(this.#tasks.map((task) => this.#dueAt(task)));
  }

  #isOverdue(): boolean {
    return this.#setTo !== null && this.#setTo + OVERDUE_MS < this.#clock.now();
  }

  /** Meanwhile the alarm may have been set to an earlier time, or may have rung. */
  #setDeferred(at: UnixMs): void {
    if (this.#ringing) return;
    const isOverdue = this.#isOverdue();
    if (this.#setTo === null || at < this.#setTo || isOverdue) this.#set(at);
    // After a reset during an alarm, workerd never rings that object again. So due tasks are run without the alarm.
    if (isOverdue) void this.ring();
  }

  #set(wanted: UnixMs): void {
    if (this.#stopped) return;
    // The platform accepts no time before 1970, and any time in the past has the same effect. An alarm that rings before its time is set
    // again.
    const at = asUnixMs(Math.min(Math.max(wanted, FIRST_ALARM_MS), LAST_ALARM_MS));
    if (at === this.#setTo) return;
    this.#setTo = at;
    // The storage orders this write with its others, and the output gate waits for it. A failure resets the object.
    void this.#storage.setAlarm(at);
  }
}
