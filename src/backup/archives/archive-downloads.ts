/** The file of an archive on its way out: a download as a stream, or a range for another database that restores it. */
import { MAX_ARCHIVE_RANGE_BYTES } from "../../core/archive-limits.ts";
import type { ArchivePlace } from "../../contracts/archive-commands.ts";
import { type Failure, failure, isFailure } from "../../core/errors.ts";
import { type ArchiveObject, bytesAt } from "./archive-bytes.ts";
import type { ArchiveRows, StoredArchive } from "./archive-rows.ts";
import type { ArchiveDownload, ArchiveRange, ArchiveStores } from "./archive-service.ts";

export class ArchiveDownloads {
  readonly #rows: ArchiveRows;
  readonly #stores: ArchiveStores;

  constructor(rows: ArchiveRows, stores: ArchiveStores) {
    this.#rows = rows;
    this.#stores = stores;
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
    const reasons: string[] = [];
    for (const place of archive.places.filter(({ status }) => status === "stored")) {
      const object = await this.#objectAt(place, archive, size);
      if (isFailure(object)) reasons.push(`${place.name}: ${object.message}`);
      else return { ok: true, archive: info, size, body: streamOf(object, first, last + 1) };
    }
    return failure("unavailable", `The archive ${id} cannot be read anywhere. ${reasons.join(" ")}`);
  }

  /** From `offset` on: at most as many as are read at once, fewer at the end. */
  async range(archive: StoredArchive, offset: number, length: number): Promise<Uint8Array | Failure> {
    const reasons: string[] = [];
    let mayPass = false;
    for (const { status, destinationId, name } of archive.places) {
      if (status !== "stored") continue;
      const store = await this.#stores.open(destinationId);
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

  async #objectAt(
    { destinationId }: ArchivePlace,
    { object }: StoredArchive,
    size: number,
  ): Promise<ArchiveObject | Failure> {
    const store = await this.#stores.open(destinationId);
    if (isFailure(store)) return store;
    const { destination } = store;
    const head = await destination.head(object);
    if (!head.ok) return failure("unavailable", head.message);
    if (head.size === size) return { destination, object, size };
    return failure("unavailable", `The object has ${head.size} bytes, and the archive has ${size}: it was replaced`);
  }
}

/** A piece is read when the one before was taken. */
function streamOf(object: ArchiveObject, first: number, end: number): ReadableStream<Uint8Array> {
  const pieces = bytesAt(object, first, end);
  return new ReadableStream(
    {
      async pull(controller) {
        const { value, done } = await pieces.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await pieces.return();
      },
    },
    { highWaterMark: 0 },
  );
}
