/** A destination in a table of the object: what is measured over it has no network in it. Names are those of archives, one at a time. */
import type {
  ByteRange,
  Destination,
  DestinationFailure,
  Done,
  ListPage,
  ObjectBytes,
  ObjectHead,
  PartDone,
  PutIfAbsentDone,
  UploadedPart,
  UploadStarted,
} from "../../../src/backup/destinations/destination.ts";
import { destinationFailure, done } from "../../../src/backup/destinations/destination.ts";
import { concatBytes } from "../../../src/core/bytes.ts";
import type { Sql } from "../../../src/core/storage.ts";

const PIECE_BYTES = 1_900_000;
const READ_AT_ONCE = 256 * 1024;
const notNeeded = destinationFailure("bad", "No measurement needs this.");

export class SqlDestination implements Destination {
  readonly prefix = "";
  /**
   * false: what is put is dropped, and read back from the spool, as long as that has it. So the disk that this table would cost is not
   * counted as the archive's.
   */
  keeps = true;
  readonly #sql: Sql;
  readonly #breathe: () => Promise<void>;

  constructor(sql: Sql, breathe: () => Promise<void>) {
    this.#sql = sql;
    this.#breathe = breathe;
    sql.exec("CREATE TABLE IF NOT EXISTS objects (at INTEGER PRIMARY KEY, bytes BLOB NOT NULL)");
  }

  async put(_name: string, bytes: Uint8Array): Promise<Done> {
    await this.delete();
    this.#append(0, bytes);
    return done;
  }

  async putIfAbsent(): Promise<PutIfAbsentDone | DestinationFailure> {
    return notNeeded;
  }

  async putIfUnchanged(): Promise<Done | DestinationFailure> {
    return notNeeded;
  }

  async get(_name: string, range: ByteRange = { offset: 0, length: Number.MAX_SAFE_INTEGER }): Promise<ObjectBytes> {
    const bytes = new Uint8Array(Math.min(range.length, this.#size - range.offset));
    // As from a network: a piece at a time, and others have their turn.
    for (let at = 0; at < bytes.length; at += READ_AT_ONCE) {
      bytes.set(this.#read(range.offset + at, Math.min(READ_AT_ONCE, bytes.length - at)), at);
      await this.#breathe();
    }
    return { ok: true, bytes, size: this.#size, etag: null };
  }

  #read(offset: number, length: number): Uint8Array {
    const rows = this.#sql
      .exec<{ at: number; bytes: ArrayBuffer }>(
        `SELECT at, bytes FROM ${this.#table}
         WHERE at >= (SELECT coalesce(max(at), 0) FROM ${this.#table} WHERE at <= ?1) AND at < ?2 ORDER BY at`,
        offset,
        offset + length,
      )
      .toArray();
    return concatBytes(
      rows.map((row) => new Uint8Array(row.bytes).subarray(Math.max(0, offset - row.at), offset + length - row.at)),
    );
  }

  async head(): Promise<ObjectHead> {
    return { ok: true, size: this.#size, modified: null };
  }

  async list(): Promise<ListPage> {
    return { ok: true, objects: [], next: null };
  }

  async delete(): Promise<Done> {
    if (!this.keeps) return done;
    this.#sql.exec("DELETE FROM objects");
    return done;
  }

  async startUpload(): Promise<UploadStarted> {
    await this.delete();
    return { ok: true, uploadId: "upload" };
  }

  async putPart(_name: string, _uploadId: string, number: number, bytes: Uint8Array): Promise<PartDone> {
    if (this.keeps) this.#append(this.#size, bytes);
    return { ok: true, part: { number, etag: String(number), size: bytes.length } };
  }

  async completeUpload(_name: string, _uploadId: string, _parts: readonly UploadedPart[]): Promise<Done> {
    return done;
  }

  async abortUpload(): Promise<Done> {
    return this.delete();
  }

  get #table(): string {
    return this.keeps ? "objects" : "archive_spool";
  }

  get #size(): number {
    const last = `SELECT at + length(bytes) AS size FROM ${this.#table} ORDER BY at DESC LIMIT 1`;
    return this.#sql.exec<{ size: number }>(last).toArray()[0]?.size ?? 0;
  }

  #append(at: number, bytes: Uint8Array): void {
    if (!this.keeps) return;
    for (let from = 0; from < bytes.length; from += PIECE_BYTES) {
      this.#sql.exec("INSERT INTO objects VALUES (?1, ?2)", at + from, bytes.subarray(from, from + PIECE_BYTES));
    }
  }
}
