/**
 * A file that arrives in numbered parts, as an upload of S3. Each part is written where it belongs, so that completing the file costs no
 * copy. What has arrived is noted in a file beside it, so that an upload goes on after the program was started again.
 */
import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { type FileHandle, open, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";

interface Notes {
  readonly name: string;
  /** The size of every part except the last. null: the first part has not begun. */
  partSize: number | null;
  /** The sizes of the parts that have arrived, by their numbers. */
  readonly sizes: Record<number, number>;
}

export class PartialFile {
  readonly id: string;
  readonly #folder: string;
  readonly #notes: Notes;
  /** The last writing of the notes. */
  #noted: Promise<void> = Promise.resolve();
  #isDiscarded = false;

  private constructor(folder: string, id: string, notes: Notes) {
    this.id = id;
    this.#folder = folder;
    this.#notes = notes;
  }

  static async begin(folder: string, name: string): Promise<PartialFile> {
    const upload = new PartialFile(folder, randomUUID(), { name, partSize: null, sizes: {} });
    await (await open(upload.#path, "wx", 0o600)).close();
    await upload.#note();
    return upload;
  }

  /** Those that were begun before, by their ids. Of one that cannot go on nothing is left. */
  static allIn(folder: string): Map<string, PartialFile> {
    const uploads = new Map<string, PartialFile>();
    for (const file of readdirSync(folder)) {
      const [, id] = /^([0-9a-f-]{36})\.json$/.exec(file) ?? [];
      if (id === undefined) continue;
      const notes = notesIn(readFileSync(join(folder, file), "utf8"));
      // Without the file it was completed, and the program was killed before the notes were removed.
      if (notes !== null && existsSync(join(folder, id))) uploads.set(id, new PartialFile(folder, id, notes));
      else for (const rest of [file, id]) rmSync(join(folder, rest), { force: true });
    }
    return uploads;
  }

  /** The name that the file is to have. */
  get name(): string {
    return this.#notes.name;
  }

  /** Bytes that have arrived. */
  get size(): number {
    return Object.values(this.#notes.sizes).reduce((sum, size) => sum + size, 0);
  }

  /** When something of it last arrived. null: its notes are gone, because another request is discarding it. */
  async changedAt(): Promise<number | null> {
    return stat(`${this.#path}.json`).then(
      ({ mtimeMs }) => mtimeMs,
      () => null,
    );
  }

  /** Returns the part's etag. null: the first part has not begun, so it is not known where this one belongs. */
  async write(number: number, size: number, bytes: Readable): Promise<string | null> {
    const notes = this.#notes;
    if (number === 1) notes.partSize = size;
    if (notes.partSize === null) return null;
    const file = await open(this.#path, "r+");
    try {
      await writeAt(file, (number - 1) * notes.partSize, bytes);
    } finally {
      await file.close();
    }
    notes.sizes[number] = size;
    await this.#note();
    return `"${number}-${size}"`;
  }

  /** The path of the whole file, flushed to the disk. null: a part is missing, or has another size than it must have. */
  async finish(numbers: readonly number[]): Promise<string | null> {
    const { sizes, partSize } = this.#notes;
    let length = 0;
    for (const [index, number] of numbers.entries()) {
      const size = sizes[number];
      const isLast = index === numbers.length - 1;
      if (size === undefined || number !== index + 1 || (!isLast && size !== partSize)) return null;
      length += size;
    }
    const file = await open(this.#path, "r+");
    try {
      await file.truncate(length);
      await file.sync();
    } finally {
      await file.close();
    }
    return this.#path;
  }

  async discard(): Promise<void> {
    this.#isDiscarded = true;
    await this.#noted.catch(() => undefined);
    await rm(this.#path, { force: true });
    await rm(`${this.#path}.json`, { force: true });
  }

  get #path(): string {
    return join(this.#folder, this.id);
  }

  /** One writing after the other, each of what holds by then. */
  async #note(): Promise<void> {
    const write = async (): Promise<void> => {
      // A part that was on its way leaves nothing.
      if (this.#isDiscarded) return;
      const beside = `${this.#path}.put`;
      await writeFile(beside, JSON.stringify(this.#notes), { mode: 0o600 });
      await rename(beside, `${this.#path}.json`);
    };
    // One that failed, because the disk was full, is no reason for the next to fail.
    this.#noted = this.#noted.then(write, write);
    await this.#noted;
  }
}

/** null: a power cut has left something else. */
function notesIn(text: string): Notes | null {
  try {
    // This class wrote it.
    return JSON.parse(text) as Notes;
  } catch {
    return null;
  }
}

/** Writes the bytes from this position on. */
export async function writeAt(file: FileHandle, position: number, bytes: Readable): Promise<void> {
  let at = position;
  for await (const piece of bytes) {
    // A stream without an encoding gives buffers.
    const buffer = piece as Buffer;
    for (let from = 0; from < buffer.length;) {
      const { bytesWritten } = await file.write(buffer, from, buffer.length - from, at);
      from += bytesWritten;
      at += bytesWritten;
    }
  }
}
