/** A database with a backup inside a Durable Object, over the real S3 endpoint, with a clock and an alarm that the test moves. */
import { isFailure } from "../../../src/core/errors.ts";
import { inject } from "vitest";
import type { Destination } from "../../../src/backup/destinations/destination.ts";
import { Backup } from "../../../src/backup/continuous/backup.ts";
import { type BackupPolicy, defaultPolicy } from "../../../src/backup/continuous/policy.ts";
import type { Manifest } from "../../../src/backup/format/manifest.ts";
import { SecretBox } from "../../../src/backup/secrets.ts";
import { encryptionKeys } from "../../../src/core/encryption-keys.ts";
import type { BackupCommand, BackupInfo } from "../../../src/contracts/backup-commands.ts";
import type { NewBackupDestination } from "../../../src/contracts/backup-destinations.ts";
import { toHex } from "../../../src/core/bytes.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import type { AtomicWrite, Mutation } from "../../../src/core/operations.ts";
import type { SyncStorage } from "../../../src/core/storage.ts";
import type { Timers } from "../../../src/core/timers.ts";
import type { Version } from "../../../src/core/versionstamp.ts";
import { Database } from "../../../src/engine/database.ts";
import { systemEntropy } from "../../../src/objects/system.ts";
import { openS3At } from "../open-s3.ts";
import { destinationAt } from "../s3-place.ts";
import { MovableClock, versionOf, write } from "./engine.ts";

export const testKeys = `k1:${btoa("1".repeat(32))}`;

export function secretBox(keys = testKeys): SecretBox {
  const parsed = encryptionKeys(keys);
  if (isFailure(parsed)) throw new Error(parsed.message);
  return new SecretBox(parsed, systemEntropy);
}

/** The endpoint that all tests share: each test has a database id of its own. */
export function openS3(prefix = ""): Destination {
  return openS3At(inject("s3"), { prefix, policy: { tries: 2, firstWaitMs: 5, longestWaitMs: 5 } });
}

/** The same endpoint, as an owner names it. */
export function s3Destination(): Extract<NewBackupDestination, { kind: "s3" }> {
  return { ...destinationAt(inject("s3")), sessionToken: null, prefix: "" };
}

let databases = 0;

function newWriter(): string {
  return toHex(systemEntropy.bytes(16));
}

export function newDatabaseId(): string {
  databases += 1;
  return `${crypto.randomUUID().slice(0, 8)}-${databases}`;
}

export interface TestBackupOptions {
  readonly policy?: Partial<BackupPolicy>;
  readonly databaseId?: string;
  /** Where it goes instead of the real S3 endpoint. */
  readonly store?: Destination;
  /** Stands before the destination. */
  readonly through?: (destination: Destination) => Destination;
  readonly secrets?: SecretBox;
  /** Tasks that are due together run beside each other, as the object's do; else one after the other. */
  readonly beside?: boolean;
}

/** Engine and backup on one storage. `reopen` forgets everything that is not stored, as an eviction does. */
export class TestBackup {
  readonly storage: SyncStorage;
  readonly clock: MovableClock;
  readonly databaseId: string;
  /** The name of the process that it runs in: see `restart`. */
  writer = newWriter();
  /** What lies in the bucket, past what stands before it. */
  readonly store: Destination;
  database!: Database;
  backup!: Backup;
  /** Where the alarm stands; null: not set. */
  alarm: number | null = null;
  /** How often the alarm was moved: each is billed as a row. */
  alarmsSet = 0;
  readonly #options: TestBackupOptions;
  /** Whoever waits here lets time pass, alarm after alarm. */
  readonly timers: Timers = {
    after: (ms, callback) => {
      const ended = new AbortController();
      const until = this.clock.time + ms;
      const wait = async (): Promise<void> => {
        while (!ended.signal.aborted && this.clock.time < until)
          await this.pass(Math.min(500, until - this.clock.time));
        if (!ended.signal.aborted) callback();
      };
      void wait();
      return () => ended.abort();
    },
  };
  #ringing = false;

  constructor(storage: SyncStorage, options: TestBackupOptions = {}, clock = new MovableClock()) {
    this.storage = storage;
    this.clock = clock;
    this.databaseId = options.databaseId ?? newDatabaseId();
    this.store = options.store ?? openS3();
    this.#options = options;
    this.reopen();
  }

  reopen(options: Pick<TestBackupOptions, "through" | "secrets"> = {}): void {
    const { clock, storage } = this;
    const { policy, through = options.through, secrets = options.secrets } = this.#options;
    this.database = new Database({
      storage,
      clock,
      mayBeFrozen: false,
      onLogged: (bytes) => this.backup.noted(bytes),
    });
    this.backup = new Backup({
      storage,
      database: this.database,
      clock,
      timers: this.timers,
      entropy: systemEntropy,
      writer: this.writer,
      secrets: secrets ?? secretBox(),
      openDestination: () => through?.(this.store) ?? this.store,
      dueBy: (at) => {
        if (this.alarm !== null && this.alarm <= at) return;
        this.alarm = at;
        this.alarmsSet += 1;
      },
      policy: { ...defaultPolicy, ...policy },
    });
    this.alarm = this.#nextDue();
  }

  /** As `reopen`, in another process: the server was stopped and started. */
  restart(): void {
    this.writer = newWriter();
    this.reopen();
  }

  enable(times: { intervalMs?: number; retentionDays?: number } = {}): Promise<BackupInfo> {
    return this.ask(this.enabling(times));
  }

  enabling(times: { intervalMs?: number; retentionDays?: number } = {}): BackupCommand {
    return {
      command: "enable",
      id: crypto.randomUUID(),
      databaseId: this.databaseId,
      destination: s3Destination(),
      intervalMs: 2_000,
      retentionDays: 7,
      ...times,
    };
  }

  /** Must succeed. */
  async ask(command: BackupCommand): Promise<BackupInfo> {
    const answer = await this.backup.run(command);
    if (!answer.ok) throw new Error(`${answer.code}: ${answer.message}`);
    if (answer.backup === null) throw new Error("there is no backup");
    return answer.backup;
  }

  info(): Promise<BackupInfo> {
    return this.ask({ command: "status" });
  }

  /** What the database knows of its backup, which is newer than the manifest in the bucket. There must be one. */
  async manifest(): Promise<Manifest> {
    const source = await this.backup.source();
    if (isFailure(source)) throw new Error(source.message);
    return source.manifest;
  }

  commit(...mutations: Mutation[]): Version {
    return this.apply(write(mutations));
  }

  apply(one: AtomicWrite): Version {
    return versionOf(this.database.commit([one])[0]);
  }

  /** Runs what is due, as the alarm does; nothing while it is doing so. Returns the names of what ran. */
  async ring(): Promise<string[]> {
    if (this.#ringing) return [];
    this.#ringing = true;
    this.alarm = null;
    const ran: string[] = [];
    const running: Promise<void>[] = [];
    try {
      for (const task of this.backup.tasks) {
        const due = task.dueAt();
        if (due === null || due > this.clock.now()) continue;
        ran.push(task.name);
        const run = task.run();
        if (this.#options.beside === true) running.push(run);
        else await run;
      }
      const ended = await Promise.allSettled(running);
      for (const end of ended) if (end.status === "rejected") throw end.reason;
    } finally {
      this.#ringing = false;
    }
    const next = this.#nextDue();
    if (next !== null && (this.alarm === null || next < this.alarm)) {
      this.alarm = next;
      this.alarmsSet += 1;
    }
    return ran;
  }

  /** Lets time pass, alarm after alarm. */
  async pass(ms: number): Promise<void> {
    const until = this.clock.time + ms;
    while (this.alarm !== null && this.alarm <= until) {
      this.clock.time = Math.max(this.clock.time, this.alarm);
      await this.ring();
    }
    this.clock.time = until;
  }

  /** Until everything that is there is in the bucket. */
  async settle(): Promise<BackupInfo> {
    for (let i = 0; i < 200; i++) {
      const info = await this.info();
      const states = info.generations.map(({ state }) => state);
      if (info.backlogBytes === 0 && states.includes("complete") && !states.includes("snapshotting")) return info;
      await this.pass(2_000);
    }
    throw new Error(`the backup does not settle: ${JSON.stringify(await this.info())}`);
  }

  #nextDue(): number | null {
    const due = this.backup.tasks.map((task) => task.dueAt()).filter((at) => at !== null);
    return due.length === 0 ? null : asUnixMs(Math.min(...due));
  }
}
