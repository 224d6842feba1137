/** A destination in memory, for tests that change every object of a backup in every way. What it cannot do, nobody here asks for. */
import { equalBytes } from "../../src/core/bytes.ts";
import type {
  ByteRange,
  Destination,
  DestinationFailure,
  Done,
  ListOptions,
  ListPage,
  ObjectBytes,
  ObjectHead,
  PartDone,
  PutIfAbsentDone,
  UploadStarted,
} from "../../src/backup/destinations/destination.ts";
import { destinationFailure } from "../../src/backup/destinations/destination.ts";
import { sha256Hex } from "../../src/backup/format/sha256.ts";
import { assertObjectName } from "../../src/backup/destinations/object-name.ts";

const notFound = destinationFailure("not-found", "The bucket has no such object.");
const notHere = destinationFailure("bad", "No multipart uploads in memory.");

function etagOf(bytes: Uint8Array): string {
  return `"${sha256Hex(bytes)}"`;
}

export class MemoryDestination implements Destination {
  readonly prefix = "";
  readonly objects = new Map<string, Uint8Array>();
  requests = 0;
  /** Requests that are never answered. */
  never: "get" | "list" | null = null;
  /** Asked before each request; what it returns is answered instead. */
  fault: (method: "get" | "head" | "list" | "put" | "delete", name: string) => DestinationFailure | undefined = () =>
    undefined;

  /** Names in the order of listing. */
  get names(): string[] {
    return [...this.objects.keys()].toSorted();
  }

  async put(name: string, bytes: Uint8Array): Promise<Done | DestinationFailure> {
    const fault = this.#ask("put", name);
    if (fault !== undefined) return fault;
    this.objects.set(name, bytes);
    return { ok: true };
  }

  async putIfAbsent(name: string, bytes: Uint8Array): Promise<PutIfAbsentDone | DestinationFailure> {
    const there = this.objects.get(name);
    if (there !== undefined) {
      if (equalBytes(there, bytes)) return { ok: true, alreadyThere: true };
      return destinationFailure("conflict", "There is such an object.");
    }
    const put = await this.put(name, bytes);
    return put.ok ? { ok: true, alreadyThere: false } : put;
  }

  async putIfUnchanged(name: string, bytes: Uint8Array, etag: string | null): Promise<Done | DestinationFailure> {
    const there = this.objects.get(name);
    if (etag !== null && (there === undefined || (etagOf(there) !== etag && !equalBytes(there, bytes)))) {
      return destinationFailure("conflict", "There is another object by now.");
    }
    return this.put(name, bytes);
  }

  async get(
    name: string,
    range?: ByteRange,
    maxBytes = Number.POSITIVE_INFINITY,
  ): Promise<ObjectBytes | DestinationFailure> {
    assertObjectName(name);
    const fault = this.#ask("get", name);
    if (fault !== undefined) return fault;
    if (this.never === "get") return new Promise(() => undefined);
    const bytes = this.objects.get(name);
    if (bytes === undefined) return notFound;
    if (range === undefined && bytes.length > maxBytes) return destinationFailure("bad", "The object is too large.");
    const part = range === undefined ? bytes : bytes.subarray(range.offset, range.offset + range.length);
    return { ok: true, bytes: part.slice(), size: bytes.length, etag: etagOf(bytes) };
  }

  async head(name: string): Promise<ObjectHead | DestinationFailure> {
    const fault = this.#ask("head", name);
    if (fault !== undefined) return fault;
    const bytes = this.objects.get(name);
    return bytes === undefined ? notFound : { ok: true, size: bytes.length, modified: null };
  }

  async list(
    namePrefix: string,
    { after = "", limit = 1000 }: ListOptions = {},
  ): Promise<ListPage | DestinationFailure> {
    const fault = this.#ask("list", namePrefix);
    if (fault !== undefined) return fault;
    if (this.never === "list") return new Promise(() => undefined);
    const all = this.names.filter((name) => name.startsWith(namePrefix) && name > after);
    const objects = all.slice(0, limit).map((name) => ({ name, size: this.objects.get(name)?.length ?? 0 }));
    return { ok: true, objects, next: all.length > limit ? (objects.at(-1)?.name ?? null) : null };
  }

  async delete(name: string): Promise<Done | DestinationFailure> {
    const fault = this.#ask("delete", name);
    if (fault !== undefined) return fault;
    this.objects.delete(name);
    return { ok: true };
  }

  async startUpload(): Promise<UploadStarted | DestinationFailure> {
    return notHere;
  }

  async putPart(): Promise<PartDone | DestinationFailure> {
    return notHere;
  }

  async completeUpload(): Promise<Done | DestinationFailure> {
    return notHere;
  }

  async abortUpload(): Promise<Done | DestinationFailure> {
    return notHere;
  }

  #ask(method: "get" | "head" | "list" | "put" | "delete", name: string): DestinationFailure | undefined {
    this.requests += 1;
    return this.fault(method, name);
  }
}
