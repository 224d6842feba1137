/** Documents that have expired and are not deleted yet: they are still in the indexes, and no search may count them. */

import { failure, type Failure } from "../../core/errors.ts";
import { MAX_EXPIRED_LEFT_OUT } from "../../core/search-limits.ts";
import type { UnixMs } from "../../core/clock.ts";
import type { Sql } from "../../core/storage.ts";
import { hasPartsAt } from "../../codec/key-prefix.ts";
import { LIVE_TABLES } from "../../engine/entry-table.ts";
import type { DocumentTable } from "../index/registry.ts";
import type { Hit } from "./cursors.ts";

const EXPIRED = `SELECT k FROM ${LIVE_TABLES.entries} WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2`;

/** The ids of the table's expired entries. A failure: there are so many that the deletion of expired entries must go on first. */
export function expiredHits(sql: Sql, { prefix }: DocumentTable, now: UnixMs): Hit[] | Failure {
  const rows = [...sql.exec(EXPIRED, now, MAX_EXPIRED_LEFT_OUT + 1).raw<[ArrayBuffer]>()];
  if (rows.length > MAX_EXPIRED_LEFT_OUT) {
    return failure(
      "unavailable",
      `More than ${MAX_EXPIRED_LEFT_OUT} entries of this database have expired and are being deleted, so documents cannot be counted now: ask again in a few seconds.`,
    );
  }
  return rows.flatMap(([k]) => {
    const key = new Uint8Array(k);
    if (!hasPartsAt(key, 0, prefix) || key.length === prefix.length) return [];
    return [{ ids: key.subarray(prefix.length), number: null }];
  });
}
