/**
 * Proves a backup: the state that it restores for a commit must be the state of the live database at that commit, entry for entry. The
 * live digest comes from a scan in slices beside the writes; writes to keys that the scan has passed adjust it. It is valid for the
 * commit at which the scan ends. When the backup has stored that commit, another object replays the backup up to it, checks every object,
 * and computes the same digest. The only change to the database is a marker commit in its log.
 */
import type { NewBackupDestination } from "../../contracts/backup-destinations.ts";
import { compareBytes } from "../../core/bytes.ts";
import type { Clock, UnixMs } from "../../core/clock.ts";
import { type Failure } from "../../core/errors.ts";
import type {
  EntriesDigest,
  RestorableRange,
  BackupJob,
  RestoreStub,
  VerificationReport,
} from "../../contracts/restore-commands.ts";
import { type Version, versionstampHex } from "../../core/versionstamp.ts";
import type { Destination } from "../destinations/destination.ts";
import { type Damage, damage } from "../format/damage.ts";
import { generationFolder, generationPrefix } from "../format/object-names.ts";
import type { SnapshotEntry } from "../format/snapshot-range.ts";
import { StateDigest } from "../format/state-digest.ts";
import type { BackupJobs, RunningJob } from "../jobs.ts";
import { asFailure, openBackup, type OwnBackup } from "./open-backup.ts";
import { type BackupBucket, isDamage, problemText, type ReadProblem } from "./replay/backup-bucket.ts";
import type { Catalog, Generation } from "./replay/catalog.ts";
import { resolveMoment, restorableRange } from "./replay/points.ts";
import { DIGEST_BOUNDS } from "./restore.ts";
import type { EntrySource } from "../sources.ts";

/** The change of one key, as the engine reports it. */
interface ObservedChange {
  readonly before: SnapshotEntry | null;
  readonly after: SnapshotEntry | null;
}

/** The engine's `Database` has this type. */
export interface VerifiableDatabase extends EntrySource {
  observe(observer: (changes: readonly ObservedChange[]) => void): () => void;
  logMarker(): Version;
}

export interface VerifyOptions {
  readonly jobs: BackupJobs;
  readonly clock: Clock;
  readonly database: VerifiableDatabase;
  readonly own: OwnBackup;
  readonly connect: (destination: NewBackupDestination) => Destination | Failure;
  /** The object in which the backup is replayed. */
  readonly scratch: () => RestoreStub;
  readonly breathe: () => Promise<void>;
}

/** What the row of a job stores of the request. */
export interface VerifyInput {
  /** The verification is automatic: what was found whole before is not all read again. */
  readonly bySchedule: boolean;
}

interface Waiting {
  readonly stage: "shipping";
  readonly version: Version;
  readonly live: EntriesDigest;
  readonly since: UnixMs;
}

interface Replaying {
  readonly stage: "replaying";
  readonly version: Version;
  readonly live: EntriesDigest;
  readonly range: RestorableRange | null;
  /** What was wrong before anything was replayed. */
  readonly problems: readonly string[];
  /** The generation that is replayed, and those that are only checked. */
  readonly generation: Version;
  readonly older: readonly Version[];
}

/** The scan of the live entries. It is only in memory, and starts again after a restart. */
interface LiveScan {
  readonly id: string;
  readonly digest: StateDigest;
  readonly stop: () => void;
  after: Uint8Array | null;
  bytes: number;
}

const SCAN_BATCHES_PER_SLICE = 8;
const POLL_MS = 1_000;

/** When a backup is behind for this long, waiting longer would prove nothing. */
const SHIPPING_GIVES_UP_MS = 15 * 60 * 1000;

export class Verifier {
  readonly #options: VerifyOptions;
  #scan: LiveScan | null = null;

  constructor(options: VerifyOptions) {
    this.#options = options;
  }

  /** Runs one slice. */
  async slice(job: RunningJob): Promise<void> {
    // This class wrote it, from values of these types.
    const state = job.state === null ? null : (JSON.parse(job.state) as Waiting | Replaying);
    switch (state?.stage) {
      case undefined:
        return this.#scanLive(job.id);
      case "shipping":
        return this.#awaitShipping(job, state);
      case "replaying":
        return this.#awaitReplay(job, state);
    }
  }

  /** Ends a job during which the object died. */
  async giveUp(id: string, why: string): Promise<void> {
    this.#options.jobs.fail(id, why);
    await this.abandon();
  }

  /** Cleans up after a verification that ended early. */
  async abandon(): Promise<void> {
    this.#endScan();
    await this.#options.scratch().discard();
  }

  async #scanLive(id: string): Promise<void> {
    const { jobs, database, own, clock, breathe } = this.#options;
    const scan = this.#liveScan(id);
    for (let i = 0; i < SCAN_BATCHES_PER_SLICE; i++) {
      if (!jobs.isRunning(id)) return this.#endScan();
      const entries = database.scan(scan.after, DIGEST_BOUNDS);
      const last = entries.at(-1);
      if (last === undefined) {
        // If the last commit is already stored and nothing was committed since, it is the one to compare.
        const version = own.settledAt() ?? database.logMarker();
        const live = scan.digest.value();
        this.#endScan();
        const state: Waiting = { stage: "shipping", version, live, since: clock.now() };
        jobs.setVersion(id, version);
        return jobs.progress(id, state, { phase: "waiting for the export", done: 0, total: 0 });
      }
      for (const entry of entries) {
        scan.digest.add(entry);
        scan.bytes += entry.key.length + entry.value.length;
      }
      scan.after = last.key;
      await breathe();
    }
    jobs.scanned(id, "reading the live entries", scan.bytes);
  }

  #liveScan(id: string): LiveScan {
    if (this.#scan?.id === id) return this.#scan;
    this.#endScan();
    const scan: LiveScan = {
      id,
      digest: new StateDigest(),
      after: null,
      bytes: 0,
      stop: this.#options.database.observe((changes) => {
        for (const { before, after } of changes) {
          const key = (after ?? before)?.key;
          if (key === undefined || scan.after === null || compareBytes(key, scan.after) > 0) continue;
          if (before !== null) scan.digest.remove(before);
          if (after !== null) scan.digest.add(after);
        }
      }),
    };
    this.#scan = scan;
    return scan;
  }

  #endScan(): void {
    this.#scan?.stop();
    this.#scan = null;
  }

  async #awaitShipping({ id, input }: RunningJob, state: Waiting): Promise<void> {
    const { jobs, clock, own, connect, scratch } = this.#options;
    if (!own.hasShipped(state.version)) {
      if (clock.now() - state.since < SHIPPING_GIVES_UP_MS) return jobs.wait(id, null, POLL_MS);
      return jobs.fail(
        id,
        `The backup has not shipped the commit ${versionstampHex(state.version)} for a quarter of an hour`,
      );
    }
    const source = await own.source();
    if (!source.ok) return this.#refuse(id, source);
    const opened = await openBackup(source, connect);
    if (!opened.ok) return this.#refuse(id, opened);
    const { bucket, catalog, destination } = opened;
    const resolved = await resolveMoment(bucket, catalog, state.version);
    if (!resolved.ok)
      return "object" in resolved ? this.#damaged(id, resolved, state) : this.#refuse(id, asFailure(resolved));
    if (resolved.version !== state.version) {
      const { place } = resolved.generation;
      const missing = damage(
        generationPrefix(place),
        `lacks the commit ${versionstampHex(state.version)}, which was stored`,
      );
      return this.#damaged(id, missing, state, resolved.version);
    }
    const found = await restorableRange(bucket, catalog);
    if (!found.ok) return this.#refuse(id, asFailure(found));
    const { generation, version } = resolved;
    // The service wrote it, from a value of this type. Earlier versions wrote none.
    const { bySchedule = false } = JSON.parse(input) as Partial<VerifyInput>;
    const wanted = own.toBeVerified(!bySchedule);
    const candidates = catalog.generations.filter(({ place }) => wanted.older.includes(place.start));
    const older = await this.#toCheck(bucket, candidates, wanted.foreign);
    if (!older.ok) return this.#refuse(id, asFailure(older));
    const manifest = await own.inspectManifest();
    if (!manifest.ok) return this.#refuse(id, manifest);
    await scratch().discard();
    const received = await scratch().receive({
      jobId: id,
      databaseId: source.databaseId,
      destination,
      version,
      isExact: true,
      floor: version,
      generation: JSON.stringify(generation),
      purpose: "check",
      olderGenerations: older.generations.map((one) => JSON.stringify(one)),
    });
    // The verification was cancelled meanwhile, or the database deleted, perhaps before the trial began. So the trial may not have been
    // wiped.
    if (!jobs.isRunning(id)) return void (await scratch().discard());
    if (!received.ok) return this.#refuse(id, received);
    const next: Replaying = {
      stage: "replaying",
      version,
      live: state.live,
      range: found.range,
      problems: manifest.problem === null ? [] : [manifest.problem],
      generation: generation.place.start,
      older: older.generations.map(({ place }) => place.start),
    };
    jobs.progress(id, next, { phase: "replaying", done: 0, total: 0 });
  }

  /** The generations to check, each up to a commit that it has. Generations that another writer has deleted are left out. */
  async #toCheck(
    bucket: BackupBucket,
    candidates: readonly Generation[],
    foreign: readonly Version[],
  ): Promise<{ readonly ok: true; readonly generations: readonly Generation[] } | ReadProblem> {
    const generations: Generation[] = [];
    for (const one of candidates) {
      if (foreign.includes(one.place.start)) {
        const stored = await bucket.consistentFrom(one.place);
        if (!stored.ok && !isDamage(stored)) return stored;
        if (stored.ok && stored.consistentFrom === null) continue;
      }
      const { end } = one;
      if (end === null) {
        generations.push(one);
        continue;
      }
      const alone: Catalog = { ok: true, generations: [one], lost: [], starts: [] };
      const last = await resolveMoment(bucket, alone, end.lastPoint);
      if (!last.ok && !("code" in last) && !isDamage(last)) return last;
      generations.push(last.ok ? { ...one, end: { ...end, lastPoint: last.version } } : one);
    }
    return { ok: true, generations };
  }

  /** The present generation cannot even be opened. */
  #damaged(id: string, problem: Damage, { live }: Waiting, intactUpTo: Version | null = null): void {
    const { jobs, own, clock } = this.#options;
    const text = problemText(problem);
    const start = /\/([0-9a-f]{16})\//.exec(problem.object)?.[1];
    const damaged = start === undefined ? [] : [{ generation: start, intactUpTo, problem: text }];
    const report: VerificationReport = {
      good: false,
      range: null,
      live,
      backup: null,
      objects: 0,
      bytes: 0,
      problems: [text],
      damaged,
      tookMs: clock.now() - (jobs.running?.createdAt ?? clock.now()),
    };
    own.verified([], damaged);
    jobs.fail(id, asFailure(problem).message, problem.object, report);
  }

  async #awaitReplay({ id, createdAt }: RunningJob, state: Replaying): Promise<void> {
    const { jobs, own, clock, scratch } = this.#options;
    const answer = await scratch().restore({ command: "job", jobId: id });
    if (!answer.ok && answer.code !== "not-found") return this.#refuse(id, answer);
    const job = answer.ok && answer.kind === "job" ? answer.job : null;
    if (job?.status === "running") {
      jobs.progress(id, state, job);
      return jobs.wait(id, job.error, POLL_MS);
    }
    if (job?.status === "cancelled" && job.error !== null) return jobs.giveUp(id, job.error);
    if (job === null || job.status === "cancelled") {
      const again: Waiting = { stage: "shipping", version: state.version, live: state.live, since: clock.now() };
      return jobs.progress(id, again, { phase: "waiting for the export", done: 0, total: 0 });
    }
    const report = await this.#judge(state, job, clock.now() - createdAt);
    if (!jobs.isRunning(id)) return;
    const bad = report.damaged.map(({ generation }) => generation);
    const whole = [...state.older, ...(job.status === "completed" ? [state.generation] : [])];
    // If the object is stopped in between, the same is found again and gives the same result.
    own.verified(
      whole.filter((start) => !bad.includes(generationFolder({ start }))),
      report.damaged,
    );
    jobs.progress(id, state, { ...job, phase: "compared" });
    if (report.good) jobs.complete(id, { report });
    else jobs.fail(id, report.problems[0] ?? "The states differ", job.damagedObject, report);
    await scratch().discard();
  }

  async #judge(state: Replaying, job: BackupJob, tookMs: number): Promise<VerificationReport> {
    const { live, range } = state;
    const checked = job.verification;
    const backup = checked?.backup ?? null;
    const found = [...state.problems, ...(checked?.problems ?? (job.error === null ? [] : [job.error]))];
    const problems = await this.#stillThere(found);
    const damaged = (checked?.damaged ?? []).filter(({ problem }) => problems.includes(problem));
    if (backup !== null && !isSame(live, backup)) {
      const problem = `The backup gives back another state than the database's at ${versionstampHex(state.version)}: ${backup.count} entries with the digest ${backup.sumWithExpiries}, not ${live.count} with ${live.sumWithExpiries}`;
      problems.push(problem);
      damaged.push({ generation: generationFolder({ start: state.generation }), intactUpTo: null, problem });
    }
    return {
      good: backup !== null && problems.length === 0,
      range,
      live,
      backup,
      objects: checked?.objects ?? 0,
      bytes: checked?.bytes ?? 0,
      problems,
      damaged,
      tookMs,
    };
  }

  /** The problems without those of generations that retention has deleted meanwhile. */
  async #stillThere(problems: readonly string[]): Promise<string[]> {
    const source = problems.length === 0 ? null : await this.#options.own.source();
    if (source === null || !source.ok) return [...problems];
    const { databaseId, manifest } = source;
    const there = manifest.generations.map(({ start }) => generationPrefix({ databaseId, start }));
    return problems.filter((text) => {
      const concerns = / ([0-9a-z-]+\/[0-9a-f]{16}\/)/.exec(text)?.[1];
      return concerns === undefined || there.includes(concerns);
    });
  }

  #refuse(id: string, why: Failure, damagedObject: string | null = null): void {
    const { jobs } = this.#options;
    if (why.code === "unavailable") jobs.wait(id, why.message);
    // Nothing was found out about the backup.
    else if (why.code === "insufficient-storage") jobs.giveUp(id, why.message);
    else jobs.fail(id, why.message, damagedObject);
  }
}

function isSame(a: EntriesDigest, b: EntriesDigest): boolean {
  return a.count === b.count && a.sum === b.sum && a.sumWithExpiries === b.sumWithExpiries;
}
