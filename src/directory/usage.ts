/**
 * How an organization's databases were used. A database reports its counters since it was made: after each quarter of an hour in which it
 * was used, with the time when that use began. The increase since the last report belongs to the bucket of 15 minutes in which the use
 * began, together with the moments until the report. Counters are absolute. So a report that arrives twice counts once, and a lost report
 * is made up for by the next one, in the bucket of the lost one. Callers hold the transaction.
 */
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { MAX_DATABASES_IN_METRICS } from "../core/limits.ts";
import type { OrganizationMetrics, UsageBucket, UsageCounters } from "../contracts/resources.ts";
import type { Sql, SqlValue } from "../core/storage.ts";

export const BUCKET_MS = 15 * 60 * 1000;

/** A query reaches back one day. One more day is kept for clocks and time zones. */
const KEPT_MS = 48 * 60 * 60 * 1000;

interface CounterRow extends Record<string, SqlValue> {
  reads: number;
  writes: number;
  read_units: number;
  write_units: number;
  bytes: number;
}

export class Usage {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Does nothing for a database that is not ready. */
  report(databaseId: string, counters: UsageCounters, usedAt: UnixMs, now: UnixMs): void {
    const [before] = this.#sql
      .exec<CounterRow>(
        "SELECT reads, writes, read_units, write_units, bytes FROM databases WHERE id = ?1 AND state = 'ready'",
        databaseId,
      )
      .toArray();
    if (before === undefined) return;
    this.#sql.exec(
      `UPDATE databases SET reads = ?2, writes = ?3, read_units = ?4, write_units = ?5, bytes = ?6, reported_at = ?7 WHERE id = ?1`,
      databaseId,
      ...listOf(counters),
      now,
    );
    // After a crash the last seconds of a database's counters may be missing. Then its increase counts as zero.
    this.#grow(asUnixMs(Math.max(now - KEPT_MS, Math.min(now, usedAt))), {
      reads: Math.max(0, counters.reads - before.reads),
      writes: Math.max(0, counters.writes - before.writes),
      readUnits: Math.max(0, counters.readUnits - before.read_units),
      writeUnits: Math.max(0, counters.writeUnits - before.write_units),
      bytes: counters.bytes - before.bytes,
    });
  }

  /** The bytes of a deleted database no longer count for the organization. */
  forgetDatabase(databaseId: string, now: UnixMs): void {
    const [row] = this.#sql.exec<{ bytes: number }>("SELECT bytes FROM databases WHERE id = ?1", databaseId).toArray();
    if (row === undefined || row.bytes === 0) return;
    this.#sql.exec("UPDATE databases SET bytes = 0 WHERE id = ?1", databaseId);
    this.#grow(now, { reads: 0, writes: 0, readUnits: 0, writeUnits: 0, bytes: -row.bytes });
  }

  /** Every bucket with `since <= start < until`. An empty bucket has the bytes of the one before. */
  buckets(since: UnixMs, until: UnixMs): UsageBucket[] {
    const first = Math.ceil(since / BUCKET_MS) * BUCKET_MS;
    const rows = new Map(
      this.#sql
        .exec<CounterRow & { start: number }>("SELECT * FROM usage WHERE start >= ?1 AND start < ?2", first, until)
        .toArray()
        .map((row) => [row.start, row]),
    );
    const [before] = this.#sql
      .exec<{ bytes: number }>("SELECT bytes FROM usage WHERE start < ?1 ORDER BY start DESC LIMIT 1", first)
      .toArray();
    let bytes = before?.bytes ?? 0;
    const buckets: UsageBucket[] = [];
    for (let start = first; start < until; start += BUCKET_MS) {
      const row = rows.get(start);
      bytes = row?.bytes ?? bytes;
      const counters =
        row === undefined ? { reads: 0, writes: 0, readUnits: 0, writeUnits: 0, bytes } : countersOf(row);
      buckets.push({ start: asUnixMs(start), ...counters });
    }
    return buckets;
  }

  metrics(): Pick<OrganizationMetrics, "totals" | "databases" | "perDatabase"> {
    const total = this.#sql.exec<CounterRow & { databases: number }>("SELECT * FROM organization").one();
    const perDatabase = this.#sql
      .exec<CounterRow & { id: string }>(
        `SELECT id, reads, writes, read_units, write_units, bytes FROM databases
         WHERE state = 'ready' AND reported_at IS NOT NULL ORDER BY reported_at DESC LIMIT ?1`,
        MAX_DATABASES_IN_METRICS,
      )
      .toArray()
      .map((row) => ({ id: row.id, ...countersOf(row) }));
    return { totals: countersOf(total), databases: total.databases, perDatabase };
  }

  purge(now: UnixMs): void {
    // The newest of the old rows stays: it says how many bytes there were before the others.
    this.#sql.exec("DELETE FROM usage WHERE start < (SELECT max(start) FROM usage WHERE start < ?1)", now - KEPT_MS);
  }

  #grow(now: UnixMs, growth: UsageCounters): void {
    this.#sql.exec(
      `UPDATE organization SET reads = reads + ?1, writes = writes + ?2, read_units = read_units + ?3,
         write_units = write_units + ?4, bytes = bytes + ?5`,
      ...listOf(growth),
    );
    this.#sql.exec(
      `INSERT INTO usage (start, reads, writes, read_units, write_units, bytes)
       SELECT ?5, ?1, ?2, ?3, ?4, bytes FROM organization WHERE true
       ON CONFLICT DO UPDATE SET reads = reads + ?1, writes = writes + ?2, read_units = read_units + ?3,
         write_units = write_units + ?4, bytes = excluded.bytes`,
      growth.reads,
      growth.writes,
      growth.readUnits,
      growth.writeUnits,
      Math.floor(now / BUCKET_MS) * BUCKET_MS,
    );
  }
}

function listOf({
  reads,
  writes,
  readUnits,
  writeUnits,
  bytes,
}: UsageCounters): [number, number, number, number, number] {
  return [reads, writes, readUnits, writeUnits, bytes];
}

function countersOf(row: CounterRow): UsageCounters {
  return {
    reads: row.reads,
    writes: row.writes,
    readUnits: row.read_units,
    writeUnits: row.write_units,
    bytes: row.bytes,
  };
}
