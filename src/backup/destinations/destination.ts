/**
 * A destination is a place for immutable objects: a bucket and a prefix in it. Everything above this interface (exporter,
 * snapshots, restore, archives) names objects below the prefix and knows nothing of the vendor; everything below it maps the
 * vendor's errors to the six classes that its callers act on.
 *
 * Drivers try again by themselves, a few times and for seconds at the most. A failure of class "retry" that comes out is for the
 * caller's own, longer backoff. Every operation may be done again: after a time-out nobody knows whether it was done.
 */
import { assert } from "../../core/assert.ts";
import type { UnixMs } from "../../core/clock.ts";
import { MAX_DESTINATION_READ_BYTES } from "../../core/limits.ts";

export type DestinationFailureClass =
  /** It may work later with nothing changed: unreachable, overloaded, timed out, out of service. */
  | "retry"
  /** The credentials, the account or the bucket's rules do not allow this. Somebody must change them. */
  | "credentials"
  /** The bucket does not exist. Somebody must make it or correct its name. */
  | "gone"
  /** The bucket is there and the object (or the upload) is not. */
  | "not-found"
  /** Another object has this name already. */
  | "conflict"
  /** The request can never work as configured: endpoint, region, or a server that does not speak the protocol. */
  | "bad";

export interface DestinationFailure {
  readonly ok: false;
  readonly class: DestinationFailureClass;
  /** A sentence for the owner of the destination. It never repeats what the remote's body says. */
  readonly message: string;
  /** The destination asked for this pause (milliseconds). Only with "retry". */
  readonly retryAfterMs?: number;
}

export interface Done {
  readonly ok: true;
}

export const done: Done = { ok: true };

export interface PutIfAbsentDone extends Done {
  /** The same bytes were there already: an earlier try of ours had arrived. */
  readonly alreadyThere: boolean;
}

export interface ByteRange {
  readonly offset: number;
  /** At least 1. The end may lie behind the object's: the answer is then shorter. */
  readonly length: number;
}

export function assertRange({ offset, length }: ByteRange): void {
  const sound = Number.isSafeInteger(offset) && offset >= 0 && length >= 1 && length <= MAX_DESTINATION_READ_BYTES;
  assert(sound, `a range within the limits, got ${offset}+${length}`);
}

export interface ObjectBytes extends Done {
  readonly bytes: Uint8Array;
  /** Of the whole object, also when a range was read. */
  readonly size: number;
  /** What `putIfUnchanged` knows this very object by; null when the destination does not say. */
  readonly etag: string | null;
}

export interface ObjectHead extends Done {
  readonly size: number;
  /** By the destination's clock; null when it does not say. */
  readonly modified: UnixMs | null;
}

export interface ListedObject {
  readonly name: string;
  readonly size: number;
}

export interface ListOptions {
  /** Only names that are greater. */
  readonly after?: string;
  /** At most so many names, 1 to 1,000 (the default). */
  readonly limit?: number;
}

export interface ListPage extends Done {
  /** In ascending order of their bytes. */
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

export interface Destination {
  /** What stands before every name in the bucket: empty, or ending in "/". For people; names below never carry it. */
  readonly prefix: string;

  /** Writes or replaces. The caller's bytes are a function of the name, so that doing it again is harmless. */
  put(name: string, bytes: Uint8Array): Promise<Done | DestinationFailure>;

  /** Writes unless there is such an object. One with the same bytes counts as written; other bytes are a "conflict". */
  putIfAbsent(name: string, bytes: Uint8Array): Promise<PutIfAbsentDone | DestinationFailure>;

  /**
   * Replaces the object that was read with this etag. Another one, or none, is a "conflict", unless it has these very bytes. A
   * destination that has no such condition, or no etag, replaces whatever is there: the caller looks afterwards.
   */
  putIfUnchanged(name: string, bytes: Uint8Array, etag: string | null): Promise<Done | DestinationFailure>;

  /**
   * Reads an object or a part of one. An object of more than `maxBytes` (MAX_DESTINATION_READ_BYTES, if it is not given) without a
   * range is "bad", whatever a listing said of it, and so is a range that begins behind the object's end. What is returned is
   * complete: an answer that was cut short is "retry".
   */
  get(name: string, range?: ByteRange, maxBytes?: number): Promise<ObjectBytes | DestinationFailure>;

  head(name: string): Promise<ObjectHead | DestinationFailure>;

  /** One page of the names that begin with `namePrefix` (which may be empty and need not end at a "/"). */
  list(namePrefix: string, options?: ListOptions): Promise<ListPage | DestinationFailure>;

  /** Well done also when there is no such object. Whatever a listing names can be given: somebody else may have put it there. */
  delete(name: string): Promise<Done | DestinationFailure>;

  startUpload(name: string): Promise<UploadStarted | DestinationFailure>;

  /** All parts but the last have the same size, at least 5 MiB. A part may be put again under its number. */
  putPart(name: string, uploadId: string, number: number, bytes: Uint8Array): Promise<PartDone | DestinationFailure>;

  /** Until it is complete the object is not there, or is the one that it was before. */
  completeUpload(name: string, uploadId: string, parts: readonly UploadedPart[]): Promise<Done | DestinationFailure>;

  /** Gives its storage back. Well done also when there is no such upload. */
  abortUpload(name: string, uploadId: string): Promise<Done | DestinationFailure>;
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
