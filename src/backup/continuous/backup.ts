/**
 * The continuous backup of one database: the commands of its owner (`run`), and the work that the object's alarm does for it (`tasks`).
 * It never slows commits or makes them fail. What a destination does not take waits in the log, visibly and up to a limit.
 */
import type { BackupAnswer, BackupCommand, BackupInfo, VerificationInterval } from "../../contracts/backup-commands.ts";
import type { BackupCredentials } from "../../contracts/backup-destinations.ts";
import type { Clock, UnixMs } from "../../core/clock.ts";
import type { ClockReading } from "../../core/clock-spans.ts";
import type { Entropy } from "../../core/entropy.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import type { DamagedGeneration } from "../../contracts/restore-commands.ts";
import type { SyncStorage } from "../../core/storage.ts";
import type { Timers } from "../../core/timers.ts";
import type { Version } from "../../core/versionstamp.ts";
import { backlogTask } from "./backlog-task.ts";
import { ConfigurationTable } from "./configuration.ts";
import { divide, join, sealCredentials, withCredentials } from "../credentials.ts";
import { DestinationTasks } from "./destination-tasks.ts";
import { checkTimes, earlierGenerations } from "./enabling.ts";
import { Exporter } from "./exporter.ts";
import { Generations } from "./generations.ts";
import { backupInfo } from "./info.ts";
import { Inspection } from "./inspection.ts";
import { lastVerification } from "../jobs.ts";
import { ManifestWriter } from "./manifest-writer.ts";
import { Leaving } from "./leaving.ts";
import { asFailure, type BackupSource, type GenerationsToVerify } from "../recovery/open-backup.ts";
import { OwnDestination } from "./own-destination.ts";
import { Ownership, type Trouble } from "./ownership.ts";
import { type BackupPolicy, defaultPolicy } from "./policy.ts";
import { Retention } from "./retention.ts";
import { Shipments } from "./shipments.ts";
import type { SecretBox } from "../secrets.ts";
import { Snapshotter } from "./snapshotter.ts";
import type { BackupTask, DatabaseSource, OpenDestination } from "../sources.ts";
import { Stored } from "./stored.ts";
import { Succession } from "./succession.ts";
import { settledAt, toBeVerified, verificationCost } from "./verification-plan.ts";
import { VerificationSchedule } from "../recovery/verification-schedule.ts";

export interface BackupOptions {
  readonly storage: SyncStorage;
  readonly database: DatabaseSource;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly entropy: Entropy;
  /** Or why the deployment cannot encrypt secrets. */
  readonly secrets: SecretBox | Failure;
  readonly openDestination: OpenDestination;
  /** The name of this process: 32 hex digits, made when it started, that no other process has. */
  readonly writer: string;
  /** A task is due at this time, which may be earlier than before. */
  readonly dueBy: (at: UnixMs) => void;
  readonly policy?: BackupPolicy;
}

const EXPORT = "backup export";
const RETENTION = "backup retention";

/** Generations beyond the retention may stay for a long time where a bucket locks its objects. */
const RETENTION_WAIT_MS = 6 * 60 * 60 * 1000;

export class Backup {
  readonly tasks: readonly BackupTask[];
  readonly #options: BackupOptions;
  readonly #configurations: ConfigurationTable;
  readonly #generations: Generations;
  readonly #stored: Stored;
  readonly #succession: Succession;
  readonly #destination: OwnDestination;
  readonly #exporter: Exporter;
  readonly #manifests: ManifestWriter;
  readonly #shipments: Shipments;
  readonly #ownership: Ownership;
  readonly #leaving: Leaving;
  readonly schedule: VerificationSchedule;
  readonly #sending: DestinationTasks;
  /** Something was exported since the log was last trimmed. */
  #trimDue = false;
  /** A command that calls the destination is under way. */
  #commanded = false;
  #closed = false;

  constructor(options: BackupOptions) {
    const { storage, database, clock, timers, entropy, writer, dueBy, policy = defaultPolicy } = options;
    this.#options = options;
    this.#configurations = new ConfigurationTable(storage);
    this.#generations = new Generations(storage, database);
    this.schedule = new VerificationSchedule(storage, clock, () =>
      verificationCost(this.#generations.all(), database.counters().entries),
    );
    const generations = this.#generations;
    this.#stored = new Stored(generations);
    this.#succession = new Succession(this.#configurations, generations, policy);
    this.#destination = new OwnDestination({ ...options, configurations: this.#configurations });
    const configurations = this.#configurations;
    this.#leaving = new Leaving({ storage, database, configurations, generations, clock, entropy, policy });
    const leave = (trouble: Trouble): void => {
      this.#leaving.leave(trouble);
      if (trouble.kind === "gone") inspection.noteLoss();
    };
    const begun = (): void => inspection.noteBeginning();
    const ownership = new Ownership({ database, generations, clock, writer, leave, begun });
    this.#ownership = ownership;
    this.#exporter = new Exporter({ database, generations, clock, policy, ownership, dueBy });
    const clockReadings = (): readonly ClockReading[] => database.clockReadings();
    this.#manifests = new ManifestWriter({ configurations, generations, clock, entropy, policy, clockReadings });
    const manifests = this.#manifests;
    const inspection = new Inspection({ configurations, generations, ownership, manifests, clock, policy });
    this.#shipments = new Shipments({
      timers,
      isStored: (version) => this.hasShipped(version),
      goesOn: () => this.#isStoring(),
      hurry: (upTo) => this.#exporter.hurry(upTo),
    });
    const snapshotter = new Snapshotter({ database, generations, clock, policy, ownership });
    const markManifestStale = (): void => configurations.markManifestStale();
    const retention = new Retention({ generations, clock, policy, markManifestStale });
    const sending = new DestinationTasks({
      clock,
      policy,
      configurations,
      destination: this.#destination,
      ownership,
      sliceEnded: () => {
        this.#shipments.look();
        this.#succession.advance(clock.now());
      },
      gaveUp: () => this.#giveUp(),
    });
    this.#sending = sending;
    this.tasks = [
      backlogTask({ database, clock, policy, generations, configurations, exporter: this.#exporter }),
      sending.add({
        name: EXPORT,
        due: ({ intervalMs }) => this.#exporter.dueAt(intervalMs),
        work: async (destination, { databaseId }) => {
          this.#trimDue = true;
          return this.#exporter.run(destination, databaseId);
        },
        place: () => String(generations.live().map(({ exported }) => exported)),
      }),
      {
        name: "backup trim",
        dueAt: () => (this.#trimDue ? clock.now() : null),
        run: async () => {
          database.log.trim();
          this.#trimDue = false;
        },
      },
      sending.add({
        name: "backup snapshot",
        due: () => snapshotter.dueAt(),
        work: (destination, { databaseId }) =>
          snapshotter.run(destination, databaseId, () => {
            configurations.setActive();
            configurations.endNotice();
            configurations.markManifestStale();
          }),
        place: () => JSON.stringify(generations.live().map(({ state, snapshot }) => [state, snapshot.objects])),
      }),
      sending.add({
        name: "backup manifest",
        due: (configuration) => manifests.dueAt(configuration),
        work: (destination, configuration) => manifests.run(destination, configuration),
      }),
      sending.add({
        name: "backup expiry",
        due: (configuration) => retention.expiresAt(configuration),
        work: async (_, configuration) => {
          retention.expire(configuration);
          return null;
        },
      }),
      sending.add({
        name: RETENTION,
        due: (configuration) => retention.deletesAt(configuration),
        hasMore: () => retention.hasDoomed,
        work: (destination, configuration) =>
          retention.delete(destination, configuration, configuration.failing[RETENTION]?.failures ?? 0),
        longestWaitMs: RETENTION_WAIT_MS,
      }),
      sending.add({
        name: "backup inspection",
        due: (configuration) => inspection.dueAt(configuration),
        work: (destination, configuration) => inspection.run(destination, configuration),
        onlyLooks: true,
      }),
    ];
  }

  /** Commits took this many bytes of the mutation log. Costs almost nothing. */
  noted(bytes: number): void {
    this.#exporter.noted(bytes);
  }

  /** Whether something is under way that may be sending to the destination. */
  get isBusy(): boolean {
    return this.#commanded || this.#sending.isBusy;
  }

  /** The contents of the object are gone. Requests under way end in whatever way. No further request follows, and nothing is written. */
  close(): void {
    this.#closed = true;
    this.#configurations.close();
    this.#generations.close();
    this.#shipments.close();
  }

  /** Bytes of log that wait for the destination. 0 without a backup. Reads only the rows of the generations. */
  get backlogBytes(): number {
    return this.#configurations.get() === null ? 0 : this.#exporter.backlog().bytes;
  }

  /** Where the backup goes, with the secret, and what is known of it now. For code that reads the backup. */
  async source(): Promise<BackupSource | Failure> {
    const configuration = this.#configurations.get();
    if (configuration === null) return noBackup();
    const { databaseId, destination } = configuration;
    const opened = await this.#destination.credentials(configuration);
    if (!opened.ok) return opened;
    const manifest = this.#manifests.current(configuration);
    return { ok: true, databaseId, destination: join(destination, opened.credentials), manifest };
  }

  hasShipped(version: Version): boolean {
    return this.#configurations.get() !== null && this.#stored.hasShipped(version);
  }

  holds(version: Version): boolean {
    return this.#configurations.get() !== null && this.#stored.holds(version);
  }

  storedUpTo(): Version | null {
    return this.#configurations.get() === null ? null : this.#stored.upTo();
  }

  /** As `OwnBackup.ship`. */
  ship(version: Version): Promise<boolean> {
    return this.#shipments.wait(version);
  }

  #isStoring(): boolean {
    if (this.#configurations.get() === null || this.isStopped()) return false;
    return !this.#sending.isFailing(EXPORT) && this.#stored.upTo() !== null;
  }

  isStopped(): boolean {
    const configuration = this.#configurations.get();
    return configuration !== null && (configuration.paused || configuration.failed !== null);
  }

  /**
   * The database is being brought to another state, in the open transaction. Commits up to here go to the generation that they belong to.
   * That generation then ends in a gap, and a new one begins.
   */
  restored(heldUpTo: Version): void {
    if (this.#configurations.get() === null) return;
    this.#generations.endAll(heldUpTo);
    this.#configurations.markManifestStale();
  }

  settledAt(): Version | null {
    return this.#configurations.get() === null ? null : settledAt(this.#generations, this.#options.database);
  }

  toBeVerified(everything: boolean): GenerationsToVerify {
    return toBeVerified(this.#configurations.get() === null ? [] : this.#generations.all(), everything);
  }

  verified(whole: readonly Version[], damaged: readonly DamagedGeneration[]): void {
    if (this.#configurations.get() === null) return;
    const now = this.#options.clock.now();
    for (const start of whole) if (this.#generations.get(start) !== null) this.#generations.verified(start, now);
    this.#leaving.damaged(damaged);
    this.#options.dueBy(now);
  }

  async inspectManifest(): Promise<{ readonly ok: true; readonly problem: string | null } | Failure> {
    const configuration = this.#configurations.get();
    if (configuration === null) return noBackup();
    const destination = await this.#destination.open(configuration);
    if (isFailure(destination)) return destination;
    const inspected = await this.#manifests.inspect(destination, configuration);
    return inspected.ok ? inspected : asFailure(inspected);
  }

  /** Carries out one command. Only one command at a time may call the destination: a second one fails with "conflict". */
  async run(command: BackupCommand): Promise<BackupAnswer> {
    switch (command.command) {
      case "enable":
        return this.#exclusively(() => this.#enable(command));
      case "disable":
        return this.#exclusively(() => this.#disable());
      case "rotate":
        return this.#exclusively(() => this.#rotate(command));
      case "pause":
      case "resume":
        return this.#setPaused(command.command === "pause");
      case "verify every":
        return this.#verifyEvery(command.hours);
      case "status":
        return this.#answer();
    }
  }

  async #exclusively(work: () => Promise<BackupAnswer>): Promise<BackupAnswer> {
    if (this.#commanded) {
      return failure("conflict", "This database's backup is being set up, changed or taken down just now.");
    }
    this.#commanded = true;
    try {
      return await work();
    } finally {
      this.#commanded = false;
    }
  }

  async #enable(command: Extract<BackupCommand, { command: "enable" }>): Promise<BackupAnswer> {
    if (this.#configurations.get() !== null) {
      return failure("conflict", "This database has a backup already. Delete it first to make another.");
    }
    const { id, databaseId, intervalMs, retentionDays } = command;
    const wrong = checkTimes(command);
    if (wrong !== null) return wrong;
    const { destination, credentials } = divide(command.destination);
    const secret = await sealCredentials(this.#options.secrets, credentials, { id, databaseId });
    if (typeof secret === "object" && secret !== null) return secret;
    const opened = await this.#destination.probed(destination, credentials, databaseId);
    if (isFailure(opened)) return opened;
    const claims = this.#generations.formerClaims();
    const { writer, clock } = this.#options;
    const earlier = await earlierGenerations({ destination: opened, databaseId, claims, writer, now: clock.now() });
    if (isFailure(earlier)) return earlier;

    if (this.#closed) return failure("not-found", "The database was deleted.");
    const createdAt = clock.now();
    this.#configurations.prepare();
    this.#options.storage.transactionSync(() => {
      this.#configurations.insert({ id, databaseId, destination, secret, intervalMs, retentionDays, createdAt });
      for (const found of earlier) this.#generations.adopt(found, createdAt);
      this.#generations.begin(createdAt);
      this.schedule.set("automatic");
    });
    this.#wake();
    return this.#answer();
  }

  async #disable(): Promise<BackupAnswer> {
    const configuration = this.#configurations.get();
    if (configuration === null) return noBackup();
    const { active, failed, paused, error } = configuration;
    if (!active && failed === null && !paused && error === null) {
      return failure(
        "conflict",
        "This database's backup is being set up just now. Delete it when it is active, or pause it first.",
      );
    }
    // The manifest is written a last time, so that the bucket alone shows everything that it holds. A destination that does not answer
    // does not prevent disabling.
    const destination = configuration.failed === null ? await this.#destination.open(configuration) : null;
    if (destination !== null && !isFailure(destination)) {
      const refused = await this.#ownership.secure(destination, configuration.databaseId);
      if (refused === null) await this.#manifests.run(destination, configuration, "The backup was disabled.");
    }
    if (this.#configurations.get() === null) return noBackup();
    this.#options.storage.transactionSync(() => {
      this.#generations.forgetAll();
      this.schedule.clear();
      this.#configurations.delete();
    });
    this.#destination.forget();
    this.#options.database.log.trim();
    return this.#answer();
  }

  async #rotate(credentials: BackupCredentials): Promise<BackupAnswer> {
    const before = this.#configurations.get();
    if (before === null) return noBackup();
    const destination = withCredentials(before.destination, credentials);
    if (destination === null) return failure("invalid", "This backup's destination has no credentials.");
    const secret = await sealCredentials(this.#options.secrets, credentials, before);
    if (typeof secret === "object") return secret ?? noBackup();
    const opened = await this.#destination.probed(destination, credentials, before.databaseId);
    if (isFailure(opened)) return opened;
    if (this.#configurations.get() === null) return noBackup();
    this.#configurations.setSecret(destination, secret);
    this.#wake();
    return this.#answer();
  }

  #setPaused(paused: boolean): BackupAnswer {
    if (this.#configurations.get() === null) return noBackup();
    this.#configurations.setPaused(paused);
    this.#wake();
    return this.#answer();
  }

  #verifyEvery(hours: VerificationInterval): BackupAnswer {
    if (this.#configurations.get() === null) return noBackup();
    const refused = this.schedule.set(hours);
    if (refused !== null) return refused;
    this.#options.dueBy(this.#options.clock.now());
    return this.#answer();
  }

  #answer(): BackupAnswer {
    return { ok: true, backup: this.info() };
  }

  /** How the backup is doing now. null: there is none. */
  info(): BackupInfo | null {
    const configuration = this.#configurations.get();
    if (configuration === null) return null;
    const verification = {
      everyHours: this.schedule.everyHours,
      automatic: this.schedule.isAutomatic,
      nextAt: this.schedule.dueAt(),
      last: lastVerification(this.#options.storage, configuration.createdAt),
    };
    const backlog = this.#exporter.backlog();
    const now = this.#options.clock.now();
    return backupInfo(configuration, this.#generations.all(), backlog, verification, now);
  }

  /** The destination works again, so nothing needs to wait for it. */
  #wake(): void {
    this.#sending.wake();
    this.#options.dueBy(this.#options.clock.now());
  }

  /** The set-up has failed. What exists of the backup is removed, and commits are no longer kept for it. */
  #giveUp(): void {
    for (const { start } of this.#generations.live()) this.#generations.delete(start);
    this.#options.database.log.trim();
  }
}

function noBackup(): Failure {
  return failure(
    "not-found",
    "This database has no backup, so nothing of its past is kept. Enable one: POST /api/databases/{id}/backup with its destination.",
  );
}
