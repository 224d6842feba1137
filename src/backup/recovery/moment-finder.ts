/**
 * Finds what a requested moment means in the bucket: which generation holds it, up to which version, and whether the backup has it yet.
 */
import type { NewBackupDestination } from "../../contracts/backup-destinations.ts";
import type { Clock } from "../../core/clock.ts";
import { type ClockReading, isAhead } from "../../core/clock-spans.ts";
import { type Failure, failure } from "../../core/errors.ts";
import { MAX_BACKUP_AHEAD_MS } from "../../core/limits.ts";
import { type Moment, momentText, readMoment, tooLate, versionOfMoment } from "../../core/moment.ts";
import type { RestorableRange } from "../../contracts/restore-commands.ts";
import { timeOfVersion, type Version, versionOfHex } from "../../core/versionstamp.ts";
import type { Destination } from "../destinations/destination.ts";
import type { Lookups } from "./lookups.ts";
import {
  asFailure,
  type BucketToOpen,
  type OpenBackup,
  openBackup,
  openBucket,
  type OwnBackup,
} from "./open-backup.ts";
import type { BackupBucket } from "./replay/backup-bucket.ts";
import { type Present, readingsOf, resolveAt } from "./replay/clock-times.ts";
import { resolveInHistories } from "./replay/histories.ts";
import { highestVersion, type ResolvedMoment, restorableRange } from "./replay/points.ts";

export interface MomentFinderOptions {
  readonly clock: Clock;
  readonly database: { readonly lastVersion: Version };
  readonly own: Pick<OwnBackup, "source" | "ship" | "isStopped">;
  /** Checks the settings and makes the driver, without a request. */
  readonly connect: (destination: NewBackupDestination) => Destination | Failure;
  readonly lookups: Lookups;
}

/** The moment that is to be restored. */
export interface Wanted {
  readonly ok: true;
  readonly moment: Moment;
  /** Everything up to and including this version belongs to the moment, in the history of this database. */
  readonly version: Version;
  /** The generation whose state is wanted. null: that of this database's history. */
  readonly generation: Version | null;
}

/** The backup that a state is taken from. */
export interface Seen {
  readonly bucket: BackupBucket;
  /** The starts of all generations there. */
  readonly starts: readonly Version[];
  readonly destination: NewBackupDestination;
  /** What the clock showed while versions ran ahead of it, if that is wanted. */
  readonly clock: readonly ClockReading[];
}

/** The state that is to be restored, and where it lies. */
export interface Found {
  readonly ok: true;
  readonly in: Seen;
  readonly resolved: ResolvedMoment;
}

export class MomentFinder {
  readonly #options: MomentFinderOptions;

  constructor(options: MomentFinderOptions) {
    this.#options = options;
  }

  /**
   * Reads the moment. In this database's history the moment is over: its state will not change any more. This may wait for a lookup, to
   * say what there is instead. So no lookup may wait for this.
   */
  async wanted(at: string, generation: Version | null = null): Promise<Wanted | Failure> {
    const { clock, database } = this.#options;
    const now = clock.now();
    const read = readMoment(at, now);
    if (!read.ok) return read;
    const version = versionOfMoment(read.moment, database.lastVersion);
    const late = generation === null ? tooLate(version, database.lastVersion, now) : null;
    if (late !== null) return this.#options.lookups.run(() => this.withRange(late));
    return { ok: true, moment: read.moment, version, generation };
  }

  /**
   * As `wanted`, and makes sure that the backup has stored what it needs for the moment. A named generation may belong to another writer,
   * and is taken as it is.
   */
  async stored(at: string, named: string | null): Promise<Wanted | Failure> {
    const generation = parseGeneration(named);
    if (generation !== null && typeof generation === "object") return generation;
    const source = await this.#options.own.source();
    if (!source.ok) return source;
    const wanted = await this.wanted(at, generation);
    if (!wanted.ok || generation !== null) return wanted;
    return (await this.ship(wanted)) ?? wanted;
  }

  /** Why the backup does not hold what it needs for the moment. null: it does. */
  async ship({ moment, version }: Wanted): Promise<Failure | null> {
    const { own } = this.#options;
    const { lastVersion, now } = this.#present();
    // For a moment in the future of this database, its present state is meant. A time that versions are ahead of may belong to any
    // commit.
    const needsAll = version > lastVersion || (moment.kind === "time" && isAhead(lastVersion, now));
    if (await own.ship(needsAll ? lastVersion : version)) return null;
    return own.isStopped()
      ? failure("conflict", "The backup does not hold the commits up to that moment, and stands still: resume it")
      : failure(
          "unavailable",
          "The backup does not hold the commits up to that moment yet: try again in a few seconds",
        );
  }

  /**
   * Finds the state: in the history of this database by what the database knows of its backup, in a named generation by what lies in the
   * bucket.
   */
  async find({ moment, version, generation }: Wanted): Promise<Found | Failure> {
    if (generation !== null) {
      const source = await this.#options.own.source();
      return source.ok ? this.#findIn({ ...source, withoutManifest: false }, moment, generation) : source;
    }
    const opened = await this.openOwn();
    if (!opened.ok) return opened;
    const { bucket, catalog, destination } = opened;
    const resolved = await resolveAt(bucket, catalog, moment, version, this.#present());
    if (!resolved.ok) return asFailure(resolved);
    const seen = { bucket, starts: catalog.starts, destination, clock: readingsOf(catalog) };
    return { ok: true, in: seen, resolved };
  }

  /** Finds the state in a bucket that this database may know nothing of. */
  async findFrom(from: BucketToOpen, at: string, named: string | null): Promise<Found | Failure> {
    const read = readMoment(at, this.#options.clock.now());
    if (!read.ok) return read;
    const generation = parseGeneration(named);
    if (generation !== null && typeof generation === "object") return generation;
    return this.#findIn(from, read.moment, generation);
  }

  async #findIn(from: BucketToOpen, moment: Moment, generation: Version | null): Promise<Found | Failure> {
    const opened = await openBucket(from, this.#options.connect);
    if (!opened.ok) return opened;
    const { bucket, histories, destination } = opened;
    const highest = await highestVersion(bucket, histories.starts);
    if (!highest.ok) return asFailure(highest);
    const present = { lastVersion: highest.version, now: this.#options.clock.now() };
    const late = tooLate(versionOfMoment(moment, highest.version), highest.version, present.now);
    if (late !== null) return late;
    const resolved = await resolveInHistories(bucket, histories, moment, generation, present);
    if (!resolved.ok) return asFailure(resolved);
    return { ok: true, in: { bucket, starts: histories.starts, destination, clock: [] }, resolved };
  }

  #present(): Present {
    const { clock, database } = this.#options;
    return { lastVersion: database.lastVersion, now: clock.now() };
  }

  async openOwn(): Promise<OpenBackup | Failure> {
    const source = await this.#options.own.source();
    return source.ok ? openBackup(source, this.#options.connect) : source;
  }

  async range(): Promise<{ readonly ok: true; readonly range: RestorableRange | null } | Failure> {
    const opened = await this.openOwn();
    if (!opened.ok) return opened;
    const found = await restorableRange(opened.bucket, opened.catalog);
    if (!found.ok) return asFailure(found);
    return { ok: true, range: found.range };
  }

  /** The failure, and from when to when something can be restored. */
  async withRange(why: Failure): Promise<Failure> {
    const answer = await this.range();
    if (!answer.ok || answer.range === null) return why;
    const { first, last } = answer.range;
    const range = `from ${momentText(first.version)} to ${momentText(last.version)}`;
    return failure(why.code, `${why.message} The commits in the backup are those ${range}`);
  }

  /** The version that later commits must exceed: the greatest one that the backup has, unless no clock of ours can have made it. */
  async floorOf({ bucket, starts }: Seen): Promise<{ readonly ok: true; readonly version: Version } | Failure> {
    const highest = await highestVersion(bucket, starts);
    if (!highest.ok) return asFailure(highest);
    const { clock, database } = this.#options;
    const isNoTime = timeOfVersion(highest.version) > clock.now() + MAX_BACKUP_AHEAD_MS;
    if (!isNoTime || highest.version <= database.lastVersion) return highest;
    return failure(
      "conflict",
      `The backup has objects of ${momentText(highest.version)}, more than ten years from now: later commits would have to follow that. Take what does not belong to the backup out of the bucket`,
    );
  }
}

/** null: no generation is named. */
function parseGeneration(text: string | null): Version | null | Failure {
  if (text === null) return null;
  const start = /^[0-9a-f]{16}$/.test(text) ? versionOfHex(`${text}0000`) : undefined;
  return (
    start ??
    failure(
      "invalid",
      `A generation is named by its folder: 16 hexadecimal digits, for example 0006444c9be62a40, not ${JSON.stringify(text.slice(0, 60))}`,
    )
  );
}
