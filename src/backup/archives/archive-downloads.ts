/** The file of an archive on its way out: a download as a stream, or a range for another database that restores it. */
import { DOWNLOAD_MEMORY_BYTES, MAX_ARCHIVE_RANGE_BYTES, MAX_DOWNLOAD_PIECE_MS } from "../../core/archive-limits.ts";
import type { ArchivePlace } from "../../contracts/archive-commands.ts";
import { type Failure, failure, isFailure } from "../../core/errors.ts";
import type { Account, ProcessMemory } from "../../core/process-memory.ts";
import type { Timers } from "../../core/timers.ts";
import { type ArchiveObject, bytesAt } from "./archive-bytes.ts";
import type { ArchiveRows, StoredArchive } from "./archive-rows.ts";
import type { ArchiveDownload, ArchiveRange, ArchiveStores } from "./archive-service.ts";

export interface ArchiveDownloadsParts {
  readonly rows: ArchiveRows;
  readonly stores: ArchiveStores;
  readonly timers: Timers;
  /** Of all objects in the process, and the organization whose part of it downloads take. */
  readonly downloadMemory: ProcessMemory;
  readonly owner: string;
}

export const NO_ROOM_FOR_DOWNLOAD = failure(
  "unavailable",
  "Other downloads take all the memory that there is for downloads: try again.",
);

export class ArchiveDownloads {
  readonly #parts: ArchiveDownloadsParts;
  readonly #rows: ArchiveRows;
  readonly #stores: ArchiveStores;

  constructor(parts: ArchiveDownloadsParts) {
    this.#parts = parts;
    this.#rows = parts.rows;
    this.#stores = parts.stores;
  }

  async stream(archive: StoredArchive, range: ArchiveRange | null): Promise<ArchiveDownload | Failure> {
    const { id, size } = archive;
    const info = this.#rows.info(String(id));
    if (isFailure(info)) return info;
    if (size === null) return failure("not-found", `The archive ${id} has no file`);
    const { first, last } = range ?? { first: 0, last: size - 1 };
    if (!(first >= 0 && first <= last && last < size)) {
      return failure(
        "limit",
        `The archive ${id} has the bytes 0 to ${size - 1}, and ${first} to ${last} were asked for`,
      );
    }
    const { downloadMemory, owner, timers } = this.#parts;
    const reasons: string[] = [];
    for (const place of archive.places.filter(({ status }) => status === "stored")) {
      const object = await this.#objectAt(place, archive, size);
      if (isFailure(object)) {
        reasons.push(`${place.name}: ${object.message}`);
        continue;
      }
      const account = downloadMemory.account(owner);
      if (!account.hasRoom(DOWNLOAD_MEMORY_BYTES)) return NO_ROOM_FOR_DOWNLOAD;
      return { ok: true, archive: info, size, body: streamOf(object, first, last + 1, account, timers) };
    }
    return failure("unavailable", `The archive ${id} cannot be read anywhere. ${reasons.join(" ")}`);
  }

  /** From `offset` on: at most as many as are read at once, fewer at the end. */
  async range(archive: StoredArchive, offset: number, length: number): Promise<Uint8Array | Failure> {
    const reasons: string[] = [];
    let mayPass = false;
    for (const place of archive.places) {
      const { status, name } = place;
      if (status !== "stored") continue;
      const store = await this.#stores.openPlace(place, archive.object);
      const range = { offset, length: Math.min(length, MAX_ARCHIVE_RANGE_BYTES) };
      const got = isFailure(store) ? store : await store.destination.get(archive.object, range);
      if (got.ok && got.size === archive.size) return got.bytes;
      mayPass ||= !got.ok && "class" in got && got.class === "retry";
      reasons.push(`${name}: ${got.ok ? `the object has ${got.size} bytes: it was replaced.` : got.message}`);
    }
    return failure(
      mayPass ? "unavailable" : "not-found",
      `The archive ${archive.id} cannot be read. ${reasons.join(" ")}`,
    );
  }

  async #objectAt(place: ArchivePlace, { object }: StoredArchive, size: number): Promise<ArchiveObject | Failure> {
    const store = await this.#stores.openPlace(place, object);
    if (isFailure(store)) return store;
    const { destination } = store;
    const head = await destination.head(object);
    if (!head.ok) return failure("unavailable", head.message);
    if (head.size === size) return { destination, object, size };
    return failure("unavailable", `The object has ${head.size} bytes, and the archive has ${size}: it was replaced`);
  }
}

/** A piece is read when the one before was taken. The stream ends with an error when a piece is not taken in time. */
export function streamOf(
  object: ArchiveObject,
  first: number,
  end: number,
  account: Account,
  timers: Timers,
): ReadableStream<Uint8Array> {
  const pieces = bytesAt(object, first, end);
  let cancelWait: () => void = () => undefined;
  const ended = async (): Promise<void> => {
    cancelWait();
    account.hold(0);
    await pieces.return();
  };
  const wait = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
    account.hold(DOWNLOAD_MEMORY_BYTES);
    cancelWait = timers.after(MAX_DOWNLOAD_PIECE_MS, () => {
      controller.error(new Error("The download was not read in time."));
      void ended();
    });
  };
  return new ReadableStream(
    {
      start: wait,
      async pull(controller) {
        cancelWait();
        account.hold(DOWNLOAD_MEMORY_BYTES);
        try {
          const { value, done } = await pieces.next();
          if (done === true) {
            await ended();
            return controller.close();
          }
          controller.enqueue(value);
          wait(controller);
        } catch (error) {
          await ended();
          throw error;
        }
      },
      cancel: ended,
    },
    { highWaterMark: 0 },
  );
}
