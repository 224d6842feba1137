/** The objects of one folder in their order, with their bytes. Small objects are fetched a few at a time, large ones one by one. */
import type { ListedObject } from "../../destinations/destination.ts";
import type { BackupBucket, FetchedObject, ReadProblem } from "./backup-bucket.ts";

/** An object of the platform has 6 connections at a time, and the exporter needs some of them. */
const MAX_AT_ONCE = 4;

/** Bytes held in memory: this many, or one object. */
const MAX_BYTES_AHEAD = 8 * 1024 * 1024;

export class ObjectQueue {
  /** How many requests were sent so far. */
  requests = 0;
  readonly #bucket: BackupBucket;
  readonly #folder: string;
  #fetched: FetchedObject[] = [];
  #listed: ListedObject[] = [];
  /** Where the next page begins. undefined: there is no further page. */
  #after: string | null | undefined;

  /** `after`: the last object that is not wanted any more. */
  constructor(bucket: BackupBucket, folder: string, after: string | null) {
    this.#bucket = bucket;
    this.#folder = folder;
    this.#after = after;
  }

  /** The next object. It stays the next one until it is dropped. null: there is none. */
  async peek(): Promise<{ readonly ok: true; readonly object: FetchedObject | null } | ReadProblem> {
    while (this.#fetched.length === 0) {
      const problem = this.#listed.length > 0 ? await this.#fetch() : await this.#list();
      if (problem === "end") return { ok: true, object: null };
      if (problem !== null) return problem;
    }
    return { ok: true, object: this.#fetched[0] ?? null };
  }

  drop(): void {
    this.#fetched.shift();
  }

  async #list(): Promise<ReadProblem | "end" | null> {
    if (this.#after === undefined) return "end";
    this.requests += 1;
    const page = await this.#bucket.list(this.#folder, this.#after);
    if (!page.ok) return page;
    this.#listed = [...page.objects];
    this.#after = page.next ?? undefined;
    return null;
  }

  async #fetch(): Promise<ReadProblem | null> {
    const group: ListedObject[] = [];
    let bytes = 0;
    for (const object of this.#listed.slice(0, MAX_AT_ONCE)) {
      bytes += object.size;
      if (group.length > 0 && bytes > MAX_BYTES_AHEAD) break;
      group.push(object);
    }
    this.requests += group.length;
    const read = await this.#bucket.readSome(group);
    if (!read.ok) return read;
    this.#listed = this.#listed.slice(read.objects.length);
    this.#fetched = [...read.objects];
    return null;
  }
}
