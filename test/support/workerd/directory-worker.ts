/** A Worker with the directory's real objects over databases that only note what they were told. */
import { DurableObject } from "cloudflare:workers";
import type { ApiKeyAnswer, ApiKeyCommand } from "../../../src/contracts/api-keys.ts";
import type { BackupAnswer, BackupCommand, BackupInfo } from "../../../src/contracts/backup-commands.ts";
import { asUnixMs, type UnixMs } from "../../../src/core/clock.ts";
import { failure, type Failure } from "../../../src/core/errors.ts";
import type { DatabaseControl, DatabaseSetup } from "../../../src/contracts/management.ts";
import type { DatabaseStats, FeedSetting } from "../../../src/contracts/resources.ts";
import type { RestoreAnswer, RestoreCommand, RestoreJobStatus } from "../../../src/contracts/restore-commands.ts";
import { asVersion } from "../../../src/core/versionstamp.ts";

export { IndexObject } from "../../../src/objects/index-object.ts";
export { OrganizationObject } from "../../../src/objects/organization-object.ts";

interface Told {
  readonly setup?: DatabaseSetup;
  readonly revoked?: Record<string, UnixMs>;
  readonly wiped?: { readonly deleteBackups: boolean };
  readonly backup?: BackupInfo | null;
  readonly jobs?: RestoreJobStatus;
  /** Calls that throw before the next one succeeds. */
  readonly outages?: number;
  readonly feed?: FeedSetting | null;
  readonly newKey?: NewKey;
}

type NewKey = Extract<ApiKeyCommand, { command: "create" }>;

const KEY: NewKey = {
  command: "create",
  name: "key",
  permissions: ["documents"],
  requireExpiry: false,
  apps: null,
  createdBy: "somebody",
  expiresAt: null,
  idempotency: null,
};

export class FakeDatabaseObject extends DurableObject implements DatabaseControl {
  async initialize(setup: DatabaseSetup): Promise<{ readonly initialized: true } | Failure> {
    this.#mayBeOut();
    const told = this.told();
    if (told.wiped !== undefined) return failure("conflict", "The database was deleted.");
    if (told.setup !== undefined && told.setup.organizationId !== setup.organizationId)
      return failure("conflict", "Another's.");
    this.#note({ setup });
    return { initialized: true };
  }

  async revoke(tokenId: string, until: UnixMs): Promise<void> {
    this.#mayBeOut();
    this.#note({ revoked: { ...this.told().revoked, [tokenId]: until } });
  }

  async wipe(options: { readonly deleteBackups: boolean }): Promise<void> {
    this.#mayBeOut();
    this.#note({ wiped: options });
  }

  async stats(): Promise<DatabaseStats | Failure> {
    if (this.told().setup === undefined) return failure("not-found", "There is no such database.");
    const counters = { reads: 3, writes: 2, readUnits: 4, writeUnits: 5, bytes: 4096 };
    return { entries: 1, versionstamp: null, logBacklog: 0, watchers: 0, ...counters };
  }

  /** Each id names a key with what the last `create` said. */
  async apiKeys(command: ApiKeyCommand): Promise<ApiKeyAnswer> {
    if (this.told().setup === undefined) return failure("not-found", "There is no such database.");
    if (command.command === "delete") return { ok: true, kind: "deleted" };
    if (command.command === "create") this.#note({ newKey: command });
    const { name, permissions, requireExpiry, apps, createdBy, expiresAt } = this.told().newKey ?? KEY;
    const id = command.command === "get" ? command.keyId : "key_1";
    const key = {
      id,
      name,
      permissions,
      requireExpiry,
      apps,
      signingKey: "k1",
      createdBy,
      createdAt: asUnixMs(1),
      expiresAt,
    };
    if (command.command === "create") return { ok: true, kind: "created", key, secret: "hidden-secret" };
    return command.command === "list" ? { ok: true, kind: "list", keys: [key] } : { ok: true, kind: "key", key };
  }

  async keepFeed(feed: FeedSetting | null): Promise<{ readonly ok: true }> {
    this.#mayBeOut();
    this.#note({ feed });
    return { ok: true };
  }

  async backup(command: BackupCommand): Promise<BackupAnswer> {
    this.#mayBeOut();
    const { backup = null } = this.told();
    switch (command.command) {
      case "enable":
        if (command.destination.prefix === "refused") return failure("invalid", "The bucket refuses the key.");
        if (backup !== null) return failure("conflict", "There is a backup already.");
        this.#note({ backup: newBackup(command) });
        break;
      case "disable":
        this.#note({ backup: null });
        break;
      case "pause":
      case "resume":
        if (backup !== null) this.#note({ backup: { ...backup, paused: command.command === "pause" } });
        break;
      case "verify every":
        if (backup !== null) {
          const automatic = command.hours === "automatic";
          const everyHours = command.hours === "automatic" ? 24 : command.hours;
          this.#note({ backup: { ...backup, verification: { ...backup.verification, everyHours, automatic } } });
        }
        break;
      case "rotate":
      case "status":
    }
    return { ok: true, backup: this.told().backup ?? null };
  }

  /** Archives are tested over real databases. */
  async archives(): Promise<Failure> {
    return failure("unsupported", "Not here.");
  }

  async restore(command: RestoreCommand): Promise<RestoreAnswer | Failure> {
    this.#mayBeOut();
    const point = { version: asVersion(1_000), time: asUnixMs(1), clock: null, changes: null };
    const nothingToDelete = this.told().setup === undefined && this.told().jobs === undefined;
    if (nothingToDelete) return failure("not-found", "There is no such job.");
    switch (command.command) {
      case "range":
        return { ok: true, kind: "range", range: { first: point, last: point } };
      case "points":
      case "resolve":
        if (command.at === "never") return failure("invalid", "There is no such moment.");
        return { ok: true, kind: "points", points: [point], next: null };
      case "job":
      case "cancel":
        return this.#job(command.jobId, command.command === "cancel" ? "cancelled" : (this.told().jobs ?? "running"));
      case "restore":
      case "fork":
      case "restore from":
      case "verify":
        if (command.command === "restore from" && command.at === "never") return failure("invalid", "Never.");
        return this.#job(command.jobId, "running");
      default:
        return { ok: true, kind: "done" };
    }
  }

  /** What jobs are from now on. */
  endJobs(status: RestoreJobStatus): void {
    this.#note({ jobs: status });
  }

  #job(id: string, status: RestoreJobStatus): RestoreAnswer {
    const finishedAt = status === "running" ? null : asUnixMs(2);
    const nothing = {
      rate: null,
      error: null,
      damagedObject: null,
      verification: null,
      outcome: null,
      undeleted: null,
    };
    const job = { id, kind: "verify", status, phase: "reading", done: 1, total: 2, version: asVersion(1_000) } as const;
    return { ok: true, kind: "job", job: { ...job, ...nothing, createdAt: asUnixMs(1), finishedAt } };
  }

  told(): Told {
    return this.ctx.storage.kv.get<Told>("told") ?? {};
  }

  fail(outages: number): void {
    this.#note({ outages });
  }

  #mayBeOut(): void {
    const { outages = 0 } = this.told();
    if (outages === 0) return;
    this.#note({ outages: outages - 1 });
    throw new Error("out of order");
  }

  #note(more: Told): void {
    this.ctx.storage.kv.put("told", { ...this.told(), ...more });
  }
}

function newBackup(command: Extract<BackupCommand, { command: "enable" }>): BackupInfo {
  const { id, intervalMs, retentionDays, destination } = command;
  const shown = { ...destination, secretAccessKey: undefined, sessionToken: undefined };
  return {
    id,
    intervalMs,
    retentionDays,
    // Without its secret it is what is shown.
    destination: JSON.parse(JSON.stringify(shown)) as BackupInfo["destination"],
    status: { code: "active" },
    paused: false,
    createdAt: asUnixMs(0),
    lagMs: 0,
    backlogBytes: 0,
    lastObject: null,
    lastError: null,
    verification: { everyHours: null, automatic: false, nextAt: null, last: null },
    generations: [],
  };
}

export default {
  fetch(): Response {
    return new Response(null, { status: 404 });
  },
};
