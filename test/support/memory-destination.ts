/** A destination in memory, for tests that change every object of a backup in every way. */
import { concatBytes, equalBytes } from "../../src/core/bytes.ts";
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
  UploadedPart,
  UploadsAborted,
  UploadStarted,
} from "../../src/backup/destinations/destination.ts";
import { destinationFailure } from "../../src/backup/destinations/destination.ts";
import { sha256Hex } from "../../src/backup/format/sha256.ts";
import { assertObjectName } from "../../src/backup/destinations/object-name.ts";

const notFound = destinationFailure("not-found", "The bucket has no such object.");
const noUpload = destinationFailure("not-found", "There is no such upload.");
const MIN_PART_BYTES = 5 * 1024 * 1024;

function etagOf(bytes: Uint8Array): string {
  return `"${sha256Hex(bytes)}"`;
}

export class MemoryDestination implements Destination {
  readonly prefix = "";
  readonly objects = new Map<string, Uint8Array>();
  /** Uploads that are neither completed nor aborted. */
  readonly uploads = new Map<string, { readonly name: string; readonly parts: Map<number, Uint8Array> }>();
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
    const objects = all.slice(0, limit).map((name) => ({
      name,
      size: this.objects.get(name)?.length ?? 0,
      modified: null,
    }));
    return { ok: true, objects, next: all.length > limit ? (objects.at(-1)?.name ?? null) : null };
  }

  async delete(name: string): Promise<Done | DestinationFailure> {
    const fault = this.#ask("delete", name);
    if (fault !== undefined) return fault;
    this.objects.delete(name);
    return { ok: true };
  }

  async startUpload(name: string): Promise<UploadStarted | DestinationFailure> {
    const fault = this.#ask("put", name);
    if (fault !== undefined) return fault;
    const uploadId = `upload-${this.requests}`;
    this.uploads.set(uploadId, { name, parts: new Map() });
    return { ok: true, uploadId };
  }

  async putPart(
    name: string,
    uploadId: string,
    number: number,
    bytes: Uint8Array,
  ): Promise<PartDone | DestinationFailure> {
    const fault = this.#ask("put", name);
    if (fault !== undefined) return fault;
    const upload = this.uploads.get(uploadId);
    if (upload?.name !== name) return noUpload;
    upload.parts.set(number, bytes.slice());
    return { ok: true, part: { number, etag: etagOf(bytes), size: bytes.length } };
  }

  async completeUpload(
    name: string,
    uploadId: string,
    parts: readonly UploadedPart[],
  ): Promise<Done | DestinationFailure> {
    const fault = this.#ask("put", name);
    if (fault !== undefined) return fault;
    const upload = this.uploads.get(uploadId);
    const found = parts.map(({ number }) => upload?.parts.get(number) ?? new Uint8Array());
    const whole = concatBytes(found);
    // Asked again after the answer was lost.
    if (
      upload === undefined &&
      (this.objects.get(name)?.length ?? -1) === parts.reduce((sum, { size }) => sum + size, 0)
    )
      return { ok: true };
    if (upload?.name !== name) return noUpload;
    const small = found
      .slice(0, -1)
      .some((bytes) => bytes.length < MIN_PART_BYTES || bytes.length !== found[0]?.length);
    if (small || parts.some(({ etag }, i) => etag !== etagOf(found[i] ?? new Uint8Array()))) {
      return destinationFailure("bad", "The parts are not those that were put, or too small.");
    }
    this.uploads.delete(uploadId);
    this.objects.set(name, whole);
    return { ok: true };
  }

  async abortUpload(name: string, uploadId: string): Promise<Done | DestinationFailure> {
    const fault = this.#ask("delete", name);
    if (fault !== undefined) return fault;
    this.uploads.delete(uploadId);
    return { ok: true };
  }

  async abortUploads(name: string): Promise<UploadsAborted | DestinationFailure> {
    const fault = this.#ask("delete", name);
    if (fault !== undefined) return fault;
    const ids = [...this.uploads].filter(([, upload]) => upload.name === name).map(([id]) => id);
    for (const id of ids) this.uploads.delete(id);
    return { ok: true, aborted: ids.length };
  }

  #ask(method: "get" | "head" | "list" | "put" | "delete", name: string): DestinationFailure | undefined {
    this.requests += 1;
    return this.fault(method, name);
  }
}
