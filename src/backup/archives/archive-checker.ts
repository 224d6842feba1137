/** Reads an archive at every destination where it lies, as a job, and changes nothing: key, format, every chunk, and the file's SHA-256. */
import type { VerificationReport } from "../../contracts/restore-commands.ts";
import type { Clock } from "../../core/clock.ts";
import { isFailure } from "../../core/errors.ts";
import type { BackupJobs, RunningJob } from "../jobs.ts";
import { ArchiveReading, type ReadingParts, type ReadingState, UNREAD } from "./archive-reading.ts";
import type { ArchiveRows, StoredArchive } from "./archive-rows.ts";
import type { ArchiveStores } from "./archive-service.ts";

export interface CheckerOptions extends ReadingParts {
  readonly jobs: BackupJobs;
  readonly rows: ArchiveRows;
  readonly stores: ArchiveStores;
  readonly clock: Clock;
}

export interface CheckInput {
  readonly archiveId: string;
}

interface State {
  readonly place: number;
  readonly reading: ReadingState;
  readonly problems: readonly string[];
  /** Since when the place cannot be reached. null: it can. */
  readonly failingSince: number | null;
}

/** How long a place that cannot be reached is tried: other jobs of the database wait. */
const GIVEN_UP_AFTER_MS = 10 * 60 * 1000;

export class ArchiveChecker {
  readonly #options: CheckerOptions;
  readonly #reading: ArchiveReading;

  constructor(options: CheckerOptions) {
    this.#options = options;
    this.#reading = new ArchiveReading(options);
  }

  async slice(job: RunningJob): Promise<void> {
    const { jobs, rows, stores } = this.#options;
    const { id } = job;
    // This class and the service wrote both, from values of these types.
    const { archiveId } = JSON.parse(job.input) as CheckInput;
    let state: State =
      job.state === null
        ? { place: 0, reading: UNREAD, problems: [], failingSince: null }
        : (JSON.parse(job.state) as State);
    const archive = rows.stored(archiveId);
    if (isFailure(archive)) return jobs.fail(id, archive.message);
    const lying = archive.places.filter(({ status }) => status === "stored");
    const place = lying[state.place];
    const { size, checksum } = archive;
    if (place === undefined || size === null || checksum === null)
      return this.#finish(job, archive, lying.length, state);
    const store = await stores.openPlace(place, archive.object);
    if (!jobs.isRunning(id)) return;
    const keep = (next: State): void => {
      state = next;
      const done = next.place * (archive.bytes ?? 0) + (next.reading.position?.bytes ?? 0);
      jobs.progress(id, next, { phase: `reading ${place.name}`, done, total: lying.length * (archive.bytes ?? 0) });
    };
    const ended = (problem: string | null): void => {
      const problems = problem === null ? state.problems : [...state.problems, `${place.name}: ${problem}`];
      keep({ place: state.place + 1, reading: UNREAD, problems, failingSince: null });
    };
    if (isFailure(store)) return ended(store.message);
    const step = await this.#reading.slice(
      {
        id: `${id} ${state.place}`,
        object: { destination: store.destination, object: archive.object, size },
        checksum,
        isRunning: () => jobs.isRunning(id),
        take: (_, reading) => {
          keep({ ...state, reading, failingSince: null });
          return null;
        },
      },
      state.reading,
    );
    if (!jobs.isRunning(id) || step.step === "more") return;
    if (step.step === "whole") return ended(null);
    if (step.step === "unreachable") {
      const now = this.#options.clock.now();
      const failingSince = Math.min(state.failingSince ?? now, now);
      if (now - failingSince >= GIVEN_UP_AFTER_MS) return ended(step.failure.message);
      // Progress ends the waits that grow.
      if (state.failingSince === null) keep({ ...state, failingSince });
      return jobs.wait(id, `${place.name}: ${step.failure.message}`, step.failure.retryAfterMs);
    }
    ended(step.message);
  }

  #finish({ id, createdAt }: RunningJob, { size, object }: StoredArchive, places: number, { problems }: State): void {
    const { jobs, clock } = this.#options;
    const wrong = places === 0 ? ["The archive lies nowhere."] : problems;
    const report: VerificationReport = {
      good: wrong.length === 0,
      range: null,
      live: null,
      backup: null,
      objects: places,
      bytes: places * (size ?? 0),
      problems: wrong,
      damaged: [],
      tookMs: clock.now() - createdAt,
    };
    if (report.good) jobs.complete(id, { report });
    else jobs.fail(id, wrong.join(" "), object, report);
  }

  abandon(): void {
    void this.#reading.forget();
  }
}
