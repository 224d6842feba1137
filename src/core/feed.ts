/**
 * What the change feed gives, wherever it is read from. A place in it is a version: everything up to and with that version has been read.
 * A reader goes on from the place of the last page that it has taken.
 */
import type { UnixMs } from "./clock.ts";
import { type Failure, failure } from "./errors.ts";
import type { Encoding } from "./operations.ts";
import { type Version, versionstampHex } from "./versionstamp.ts";

/** What has become of a key. */
export interface LoggedChange {
  readonly key: Uint8Array;
  /** Null: the entry was deleted, or has expired. */
  readonly set: { readonly value: Uint8Array; readonly encoding: Encoding; readonly expiresAt: UnixMs | null } | null;
}

export interface FeedChange extends LoggedChange {
  /** The key had no entry before. False where that is not known. */
  readonly isNew: boolean;
}

export interface FeedCommit {
  readonly version: Version;
  /** In the order in which they were made. A key may be changed twice. */
  readonly changes: readonly FeedChange[];
}

export interface FeedPage {
  /** Ascending, each whole. A commit that changed nothing of what is asked for is left out. */
  readonly commits: readonly FeedCommit[];
  /** Behind these commits the state was replaced, at this version: whoever keeps a state reads it anew. Null: it was not. */
  readonly reset: Version | null;
  /** The place behind the page. */
  readonly upTo: Version;
  /** Nothing follows just now. */
  readonly isLast: boolean;
}

/** Of its keys and values. */
export function bytesOfPage({ commits }: FeedPage): number {
  let bytes = 0;
  for (const { changes } of commits) for (const { key, set } of changes) bytes += key.length + (set?.value.length ?? 0);
  return bytes;
}

/** From where a feed is read: a place, the oldest that can be had, or what is committed from now on. */
export type FeedStart = Version | "oldest" | "now";

export interface FeedRequest {
  /** An encoded key; empty: all keys. */
  readonly prefix: Uint8Array;
  readonly from: FeedStart;
}

/** `oldest`: the first place from which every commit can be had. */
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
