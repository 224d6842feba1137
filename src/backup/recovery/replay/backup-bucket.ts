/**
 * One database's backup as it lies in a destination: which objects there are, and their bytes. All reading goes through this class, one
 * page of names or one object at a time. What an object means is decided elsewhere.
 */
import {
  MAX_DESTINATION_READ_BYTES,
  MAX_GENERATION_RECORD_BYTES,
  MAX_GENERATIONS_LISTED,
  MAX_MANIFEST_BYTES,
} from "../../../core/limits.ts";
import type { Version } from "../../../core/versionstamp.ts";
import {
  type Destination,
  type DestinationFailure,
  destinationFailure,
  type ListedObject,
  type ListPage,
} from "../../destinations/destination.ts";
import { type Damage, damage } from "../../format/damage.ts";
import { type GenerationRecord, parseGenerationRecord } from "../../format/generation-record.ts";
import { type Manifest, parseManifest } from "../../format/manifest.ts";
import {
  afterGeneration,
  databasePrefix,
  differentialName,
  type GenerationPlace,
  generationOf,
  generationRecordName,
  manifestName,
  parseDifferential,
} from "../../format/object-names.ts";

/** Why reading a backup failed: an object is not as it should be, or the destination did not answer. */
export type ReadProblem = Damage | DestinationFailure;

export interface FetchedObject {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export function isDamage(problem: ReadProblem): problem is Damage {
  return "object" in problem;
}

/** A sentence for the owner. */
export function problemText(problem: ReadProblem): string {
  return isDamage(problem) ? `The object ${problem.object} ${problem.problem}` : problem.message;
}

/** A versionstamp in hex; longer content was put there by mistake, and can be reported up to this length. */
const MAX_DIFFERENTIAL_BYTES = 1024;

export class BackupBucket {
  readonly databaseId: string;
  readonly #destination: Destination;

  constructor(destination: Destination, databaseId: string) {
    this.#destination = destination;
    this.databaseId = databaseId;
  }

  place(start: Version): GenerationPlace {
    return { databaseId: this.databaseId, start };
  }

  /** null: there is none. */
  async manifest(): Promise<
    { readonly ok: true; readonly manifest: Manifest | null; readonly etag: string | null } | ReadProblem
  > {
    const got = await this.#destination.get(manifestName(this.databaseId), undefined, MAX_MANIFEST_BYTES);
    if (!got.ok) return got.class === "not-found" ? { ok: true, manifest: null, etag: null } : got;
    const parsed = parseManifest(this.databaseId, got.bytes);
    return parsed.ok ? { ok: true, manifest: parsed.manifest, etag: got.etag } : parsed;
  }

  /**
   * The starts of all generations between the two (null: without an upper end) that have any object, ascending. One request for each
   * generation, and one more.
   */
  async generations(
    newerThan: Version | null,
    olderThan: Version | null = null,
  ): Promise<{ readonly ok: true; readonly starts: readonly Version[] } | DestinationFailure> {
    const starts: Version[] = [];
    const prefix = databasePrefix(this.databaseId);
    let after = newerThan === null ? prefix : afterGeneration(this.place(newerThan));
    for (let requests = 0; requests <= MAX_GENERATIONS_LISTED; requests++) {
      const page = await this.#destination.list(prefix, { after, limit: 1 });
      if (!page.ok) return page;
      const [object] = page.objects;
      if (object === undefined) return { ok: true, starts };
      const start = generationOf(this.databaseId, object.name);
      if (start !== undefined && olderThan !== null && start >= olderThan) return { ok: true, starts };
      // The manifest and other names sort after every number.
      if (start === undefined && object.name > `${prefix}g`) return { ok: true, starts };
      if (start !== undefined) starts.push(start);
      after = start === undefined ? object.name : afterGeneration(this.place(start));
    }
    return destinationFailure(
      "bad",
      `There are more than ${MAX_GENERATIONS_LISTED} generations, or other objects, below ${this.#destination.prefix}${prefix} than the manifest names.`,
    );
  }

  /** Who writes a generation. null: there is no record. */
  async record(
    place: GenerationPlace,
  ): Promise<
    { readonly ok: true; readonly record: GenerationRecord | null; readonly etag: string | null } | ReadProblem
  > {
    const got = await this.#destination.get(generationRecordName(place), undefined, MAX_GENERATION_RECORD_BYTES);
    if (!got.ok) return got.class === "not-found" ? { ok: true, record: null, etag: null } : got;
    const parsed = parseGenerationRecord(place, got.bytes);
    return parsed.ok ? { ok: true, record: parsed.record, etag: got.etag } : parsed;
  }

  /** The content of `differential`. null: it does not exist, so the generation cannot be read. */
  async consistentFrom(
    place: GenerationPlace,
  ): Promise<{ readonly ok: true; readonly consistentFrom: Version | null } | ReadProblem> {
    const got = await this.#destination.get(differentialName(place), undefined, MAX_DIFFERENTIAL_BYTES);
    if (got.ok) return parseDifferential(place, got.bytes);
    return got.class === "not-found" ? { ok: true, consistentFrom: null } : got;
  }

  /** At most 1,000 objects of a folder in their order: those whose names are greater than `after`. */
  list(folder: string, after: string | null): Promise<ListPage | DestinationFailure> {
    return this.#destination.list(folder, after === null ? {} : { after });
  }

  /** The bytes of an object that must exist. At most as many as a listing gave as its size, if there was one. */
  async read(
    name: string,
    listedSize?: number,
  ): Promise<{ readonly ok: true; readonly bytes: Uint8Array } | ReadProblem> {
    if (listedSize !== undefined && listedSize > MAX_DESTINATION_READ_BYTES) {
      return damage(name, `has ${listedSize} bytes; an object of a backup has at most ${MAX_DESTINATION_READ_BYTES}`);
    }
    const got = await this.#destination.get(name, undefined, listedSize);
    if (got.ok) return got;
    return got.class === "not-found" ? damage(name, "is missing") : got;
  }

  /**
   * Reads several objects at once. Returns those before the first that cannot be read; or its problem, when it is the first of all. The
   * caller limits their bytes by the sizes in the listing.
   */
  async readSome(
    objects: readonly ListedObject[],
  ): Promise<{ readonly ok: true; readonly objects: readonly FetchedObject[] } | ReadProblem> {
    const answers = await Promise.all(objects.map(({ name, size }) => this.read(name, size)));
    const read: FetchedObject[] = [];
    for (const [i, { name }] of objects.entries()) {
      const answer = answers[i];
      if (answer?.ok === true) read.push({ name, bytes: answer.bytes });
      else if (answer !== undefined && read.length === 0) return answer;
      else break;
    }
    return { ok: true, objects: read };
  }
}
