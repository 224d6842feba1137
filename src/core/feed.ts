/**
 * What the change feed returns, from wherever it is read. A place in the feed is a version: everything up to and including that version
 * has been read. A reader continues from the place of the last page that it has taken.
 */
import type { UnixMs } from "./clock.ts";
import { type Failure, failure } from "./errors.ts";
import type { Encoding } from "./operations.ts";
import { type Version, versionstampHex } from "./versionstamp.ts";

/** What happened to a key. */
export interface LoggedChange {
  readonly key: Uint8Array;
  /** null: the entry was deleted, or has expired. */
  readonly set: { readonly value: Uint8Array; readonly encoding: Encoding; readonly expiresAt: UnixMs | null } | null;
}

export interface FeedChange extends LoggedChange {
  /** The key had no entry before. False when that is not known. */
  readonly isNew: boolean;
}

export interface FeedCommit {
  readonly version: Version;
  /** In the order in which they were made. A key may occur twice. */
  readonly changes: readonly FeedChange[];
}

export interface FeedPage {
  /** Ascending, each whole. A commit that changed nothing that is asked for is left out. */
  readonly commits: readonly FeedCommit[];
  /**
   * After these commits the state was replaced, at this version: a reader that keeps a copy of the state must read it again. null: it was
   * not replaced.
   */
  readonly reset: Version | null;
  /** The place after the page. */
  readonly upTo: Version;
  /** Nothing follows at present. */
  readonly isLast: boolean;
}

/** Of its keys and values. */
export function bytesOfPage({ commits }: FeedPage): number {
  let bytes = 0;
  for (const { changes } of commits) for (const { key, set } of changes) bytes += key.length + (set?.value.length ?? 0);
  return bytes;
}

/** From where a feed is read: a place, the oldest place that is kept, or the present. */
export type FeedStart = Version | "oldest" | "now";

export interface FeedRequest {
  /** An encoded key; empty: all keys. */
  readonly prefix: Uint8Array;
  readonly from: FeedStart;
}

/** `oldest`: the first place from which every commit is kept. */
export function tooOld(after: Version, oldest: Version): Failure {
  const from = versionstampHex(oldest);
  return {
    ...failure(
      "too-old",
      `The feed is not kept from ${versionstampHex(after)} on. The oldest versionstamp from which it can be read is ${from}: read the state anew, then the feed from there or from now.`,
    ),
    oldest: from,
  };
}
