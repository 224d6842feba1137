/**
 * A destination is a place for immutable objects: a bucket and a prefix in it. All code above this interface (exporter, snapshots,
 * restore, archives) names objects below the prefix and knows nothing of the vendor. All code below it maps the vendor's errors to the
 * six classes that callers act on.
 *
 * Drivers retry by themselves, a few times and for seconds at most. After a failure of class "retry" the caller waits longer, by its own
 * backoff. Every operation may be repeated: after a time-out it is not known whether it was carried out.
 */
import { assert } from "../../core/assert.ts";
import type { UnixMs } from "../../core/clock.ts";
import { MAX_DESTINATION_READ_BYTES } from "../../core/limits.ts";

export type DestinationFailureClass =
  /**
   * The request may succeed later although nothing was changed: the destination was unreachable, overloaded, too slow or out of service.
   */
  | "retry"
  /** The credentials, the account or the bucket's rules do not allow the request. Somebody must change them. */
  | "credentials"
  /** The bucket does not exist. Somebody must make it, or correct its name. */
  | "gone"
  /** The bucket exists, and the object (or the upload) does not. */
  | "not-found"
  /** Another object has this name. */
  | "conflict"
  /**
   * The request can never succeed with these settings: the endpoint or the region is wrong, or the server does not speak the protocol.
   */
  | "bad";

export interface DestinationFailure {
  readonly ok: false;
  readonly class: DestinationFailureClass;
  /** A sentence for the owner of the destination. It never repeats the body of the remote's answer. */
  readonly message: string;
  /** The destination asked for this pause (milliseconds). Only with "retry". */
  readonly retryAfterMs?: number;
}

export interface Done {
  readonly ok: true;
}

export const done: Done = { ok: true };

export interface PutIfAbsentDone extends Done {
  /** The same bytes were there already: an earlier try of this request had arrived. */
  readonly alreadyThere: boolean;
}

export interface ByteRange {
  readonly offset: number;
  /** At least 1. The range may end behind the object's end: then the answer is shorter. */
  readonly length: number;
}

export function assertRange({ offset, length }: ByteRange): void {
  const sound = Number.isSafeInteger(offset) && offset >= 0 && length >= 1 && length <= MAX_DESTINATION_READ_BYTES;
  assert(sound, `a range within the limits, got ${offset}+${length}`);
}

export interface ObjectBytes extends Done {
  readonly bytes: Uint8Array;
  /** The size of the whole object, also when only a range was read. */
  readonly size: number;
  /** Names exactly this object for `putIfUnchanged`. null when the destination gives no etag. */
  readonly etag: string | null;
}

export interface ObjectHead extends Done {
  readonly size: number;
  /** By the destination's clock. null when the destination does not give it. */
  readonly modified: UnixMs | null;
}

export interface ListedObject {
  readonly name: string;
  readonly size: number;
  /** As in `ObjectHead`. */
  readonly modified: UnixMs | null;
}

export interface ListOptions {
  /** Only names greater than this. */
  readonly after?: string;
  /** The greatest number of names, from 1 to 1,000 (the default). */
  readonly limit?: number;
}

export interface ListPage extends Done {
  /** In ascending order of the bytes of their names. */
  readonly objects: readonly ListedObject[];
  /** What to pass as `after` for the next page; null after the last one. */
  readonly next: string | null;
}

export interface UploadStarted extends Done {
  readonly uploadId: string;
}

export interface UploadedPart {
  /** From 1, without gaps. */
  readonly number: number;
  readonly etag: string;
  readonly size: number;
}

export interface PartDone extends Done {
  readonly part: UploadedPart;
}

export interface UploadsAborted extends Done {
  /** null: this server does not list its uploads, or not for these credentials. */
  readonly aborted: number | null;
}

export interface Destination {
  /** The text before every name in the bucket: empty, or ending in "/". It is shown to people; names never contain it. */
  readonly prefix: string;

  /** Writes or replaces an object. The caller's bytes are a function of the name, so repeating the request is harmless. */
  put(name: string, bytes: Uint8Array): Promise<Done | DestinationFailure>;

  /** Writes unless there is such an object. An object with the same bytes counts as written; one with other bytes is a "conflict". */
  putIfAbsent(name: string, bytes: Uint8Array): Promise<PutIfAbsentDone | DestinationFailure>;

  /**
   * Replaces the object that was read with this etag. When there is another object or none, that is a "conflict", unless the object has
   * exactly these bytes. A destination without such a condition, or without etags, replaces whatever is there, and the caller checks
   * afterwards.
   */
  putIfUnchanged(name: string, bytes: Uint8Array, etag: string | null): Promise<Done | DestinationFailure>;

  /**
   * Reads an object or a part of it. Without a range, an object of more than `maxBytes` (default MAX_DESTINATION_READ_BYTES) is "bad",
   * whatever a listing said of its size. A range that begins behind the object's end is "bad" as well. The returned bytes are complete:
   * an answer that was cut short is "retry".
   */
  get(name: string, range?: ByteRange, maxBytes?: number): Promise<ObjectBytes | DestinationFailure>;

  head(name: string): Promise<ObjectHead | DestinationFailure>;

  /** One page of the names that begin with `namePrefix`, which may be empty and need not end at a "/". */
  list(namePrefix: string, options?: ListOptions): Promise<ListPage | DestinationFailure>;

  /** Succeeds also when there is no such object. Any name from a listing may be given, also of an object that somebody else put there. */
  delete(name: string): Promise<Done | DestinationFailure>;

  startUpload(name: string): Promise<UploadStarted | DestinationFailure>;

  /** All parts except the last have the same size, at least 5 MiB. A part may be put again under the same number. */
  putPart(name: string, uploadId: string, number: number, bytes: Uint8Array): Promise<PartDone | DestinationFailure>;

  /** Until the upload is complete, the object does not exist, or is still the earlier one. */
  completeUpload(name: string, uploadId: string, parts: readonly UploadedPart[]): Promise<Done | DestinationFailure>;

  /** Frees the upload's storage. Succeeds also when there is no such upload. */
  abortUpload(name: string, uploadId: string): Promise<Done | DestinationFailure>;

  /**
   * Frees the storage of every upload of this name, also of those whose id was lost. A kind of destination that cannot list its uploads
   * does not have this: R2's binding. R2 aborts an upload by itself after seven days.
   */
  readonly abortUploads?: (name: string) => Promise<UploadsAborted | DestinationFailure>;
}

export function destinationFailure(
  failureClass: DestinationFailureClass,
  message: string,
  retryAfterMs?: number,
): DestinationFailure {
  return retryAfterMs === undefined
    ? { ok: false, class: failureClass, message }
    : { ok: false, class: failureClass, message, retryAfterMs };
}
