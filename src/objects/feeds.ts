/**
 * The change feed of a database: what is kept for it, and pages of it from wherever they are. The log is asked first
 * (`engine/feed-log.ts`). What it does not reach back to is in the backup's objects, if there is a backup (`feed-history.ts`).
 */
import type { FeedHistory } from "../backup/recovery/feed-history.ts";
import type { FeedSetting } from "../contracts/resources.ts";
import { fromHex } from "../core/bytes.ts";
import type { Clock, UnixMs } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import { type FeedPage, type FeedRequest, tooOld } from "../core/feed.ts";
import { admitsKey } from "../codec/key-prefix.ts";
import { textOfKey } from "../codec/key-json.ts";
import type { Version } from "../core/versionstamp.ts";
import type { Database } from "../engine/database.ts";
import type { Task } from "./alarm-clock.ts";

const HOUR_MS = 60 * 60 * 1000;

export interface FeedsParts {
  readonly database: Pick<Database, "feed" | "watches" | "lastVersion">;
  readonly history: Pick<FeedHistory, "oldest" | "page">;
  readonly clock: Clock;
  /** The task is due at this time. */
  readonly dueBy: (at: UnixMs) => void;
}

type PageOrFailure = { readonly ok: true; readonly page: FeedPage } | Failure;

export class Feeds {
  readonly task: Task;
  readonly #parts: FeedsParts;

  constructor(parts: FeedsParts) {
    this.#parts = parts;
    const { database, clock } = parts;
    this.task = {
      name: "feed trim",
      dueAt: () => database.feed.trimsAt(clock.now()),
      run: () => database.feed.trim(clock.now()),
    };
  }

  /** From now on the log is kept with this setting. Open readers look again. */
  keep(setting: FeedSetting | null): void {
    const { database } = this.#parts;
    const kept = setting && {
      prefix: setting.prefix === null ? null : fromHex(setting.prefix),
      retentionMs: setting.retentionHours * HOUR_MS,
    };
    database.feed.keep(kept);
    database.watches.feedChanged();
    this.#plan();
  }

  /** The log has grown. */
  noted(): void {
    this.#plan();
  }

  /** Why this prefix cannot be read. null: it can. */
  refusal(prefix: Uint8Array): Failure | null {
    const { setting } = this.#parts.database.feed;
    if (setting === null) return FEED_IS_OFF;
    if (setting.prefix === null || admitsKey(setting.prefix, prefix)) return null;
    return failure(
      "conflict",
      `This database keeps its feed of the keys under ${textOfKey(setting.prefix)} only. Ask for a prefix within that, or keep more: PATCH /api/databases/{id} with {"feed":{"retentionHours":24}}.`,
    );
  }

  /** The page after a place; or after the place that the start of the feed means. */
  async page({ prefix, from }: FeedRequest): Promise<PageOrFailure> {
    const refused = this.refusal(prefix);
    if (refused !== null) return refused;
    const { database } = this.#parts;
    if (from === "now") {
      return { ok: true, page: { commits: [], reset: null, upTo: database.lastVersion, isLast: true } };
    }
    const start = from === "oldest" ? await this.oldest() : { ok: true as const, version: from };
    if (!start.ok) return start;
    const page = database.feed.page(start.version, prefix);
    return typeof page === "string" ? this.before(start.version, prefix) : { ok: true, page };
  }

  /** The oldest place from which the feed can be read. */
  async oldest(): Promise<{ readonly ok: true; readonly version: Version } | Failure> {
    const { database, history } = this.#parts;
    const { keptAfter } = database.feed;
    return keptAfter === null ? FEED_IS_OFF : history.oldest(keptAfter);
  }

  /** What comes after a place that the log does not reach back to. */
  async before(after: Version, prefix: Uint8Array): Promise<PageOrFailure> {
    const { database, history } = this.#parts;
    const { keptAfter } = database.feed;
    if (keptAfter === null) return FEED_IS_OFF;
    // The place belongs to no commit of this database, so it is another database's.
    if (after > database.lastVersion) return tooOld(after, keptAfter);
    return history.page(after, prefix, keptAfter);
  }

  #plan(): void {
    const { database, clock, dueBy } = this.#parts;
    const at = database.feed.trimsAt(clock.now());
    if (at !== null) dueBy(at);
  }
}

const FEED_IS_OFF = failure(
  "conflict",
  'This database keeps no log for change feeds. Switch it on: PATCH /api/databases/{id} with {"feed":{"retentionHours":24}}.',
);
