/** What a reader of the change feed does: it takes commits in order, keeps its place, and acknowledges when it is told to. */
import { expect } from "vitest";
import { toHex } from "../../src/core/bytes.ts";
import { admitsKey } from "../../src/codec/key-prefix.ts";
import { NO_VERSION, type Version } from "../../src/core/versionstamp.ts";
import type { FeedChange, FeedPage } from "../../src/core/feed.ts";
import type { NoFeedPage } from "../../src/engine/feed-log.ts";
import type { FeedOptions, FeedReceiver } from "../../src/engine/feed-view.ts";
import type { FeedWatcher, WatchHub } from "../../src/engine/watch-hub.ts";
import { HubReceiver } from "./hub-receiver.ts";

/** `insert 02610 …`: what happened to a key, and the first bytes of its value. */
export interface ToldCommit {
  readonly version: Version;
  readonly changes: readonly string[];
}

export class FeedReader extends HubReceiver implements FeedReceiver {
  readonly prefix: Uint8Array;
  readonly commits: ToldCommit[] = [];
  readonly resets: Version[] = [];
  /** Of each message. */
  readonly places: Version[] = [];
  after: Version | null = null;
  behindAt: { readonly after: Version; readonly why: NoFeedPage } | null = null;
  watcher: FeedWatcher | null = null;

  constructor(prefix: Uint8Array) {
    super();
    this.prefix = prefix;
  }

  connect(hub: WatchHub, how: Partial<FeedOptions> = {}): this {
    if (how.connection === undefined) this.isWaiting = false;
    this.behindAt = null;
    this.watcher = hub.addFeed(this.prefix, { after: this.after, connection: "new", ...how }, this);
    return this;
  }

  protected get count(): number {
    return this.places.length;
  }

  deliver({ commits, reset, upTo }: FeedPage): void {
    this.received();
    const before = this.after ?? NO_VERSION;
    expect(upTo, "a place never goes back").toBeGreaterThanOrEqual(before);
    for (const { version, changes } of commits) {
      expect(version, "a commit is later than everything told before").toBeGreaterThan(
        Math.max(before, this.commits.at(-1)?.version ?? NO_VERSION),
      );
      expect(version, "a message's place is behind its commits").toBeLessThanOrEqual(upTo);
      expect(changes.length).toBeGreaterThan(0);
      for (const { key } of changes) expect(admitsKey(this.prefix, key)).toBe(true);
      this.commits.push({ version, changes: changes.map(said) });
    }
    if (reset !== null) this.resets.push(reset);
    this.after = upTo;
    this.places.push(upTo);
  }

  behind(after: Version, why: NoFeedPage): void {
    this.behindAt = { after, why };
  }
}

export function said({ key, set, isNew }: FeedChange): string {
  if (set === null) return `delete ${toHex(key)}`;
  const operation = isNew ? "insert" : "update";
  return `${operation} ${toHex(key)} ${set.encoding} ${set.value.length} ${toHex(set.value.subarray(0, 8))}`;
}
