/**
 * How much room the disk under the data folder has. It is served to workerd, which cannot ask the system. The log says when room runs
 * short, and when there is room again.
 */
import { statfs } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { failure, type Failure } from "../core/errors.ts";
import { DISK_RESERVE_BYTES, MAX_DISK_RESERVE_SHARE } from "../core/limits.ts";
import { type DiskFigures, lastReserve } from "../core/storage-room.ts";
import { Ballast } from "./ballast.ts";

/** Bytes of the file system, for this user. */
export interface DiskSize {
  readonly free: number;
  readonly size: number;
}

export interface DiskOptions {
  /** Bytes that writes leave free. null: not given. */
  readonly reserve: number | null;
  readonly measure: (folder: string) => Promise<DiskSize>;
  readonly say: (sentence: string) => void;
}

export const defaultDiskOptions: DiskOptions = {
  reserve: null,
  measure: measureDisk,
  say: (sentence) => process.stderr.write(`${sentence}\n`),
};

/** Only for the log: code that writes asks by itself. */
const LOOK_EVERY_MS = 5_000;

/**
 * How many times the reserve must be free. Below the first number the log says that room runs short, a little before writes are refused.
 * Above the second it says that there is room again. The numbers differ so that a disk at the limit does not fill the log.
 */
const SHORT_BELOW = 1.25;
const ROOM_AGAIN_FROM = 1.5;

type State = "has room" | "nearly full" | "full";

export class DiskSpace {
  /** Where the figures are served on this machine, in the form of workerd's command line. */
  readonly address: string;
  /** Whether the log has said that room runs short, and not yet that there is room again. */
  readonly isShort: () => boolean;
  readonly close: () => void;

  private constructor(address: string, isShort: () => boolean, close: () => void) {
    this.address = address;
    this.isShort = isShort;
    this.close = close;
  }

  static async serve(folder: string, { reserve, measure, say }: DiskOptions): Promise<DiskSpace> {
    const ballast = new Ballast(folder);
    let state: State = "has room";
    const look = async (): Promise<DiskFigures> => {
      const { free, size } = await measure(folder);
      const kept = reserveOn(size, reserve);
      const last = lastReserve({ reserve: kept });
      // The room that the ballast has given back counts as taken: it is only for reading.
      const figures = { free: Math.max(0, free - Math.max(0, last - ballast.bytes)), reserve: kept };
      const next = stateOf(figures, state);
      if (next !== state) say(sentenceOf(next, folder, figures));
      state = next;
      if (state === "full") ballast.release();
      else if (state === "has room") ballast.keep(last);
      return figures;
    };
    const server = createServer((_, response) => {
      look().then(
        (figures) => response.end(JSON.stringify(figures)),
        (error: unknown) => {
          response.statusCode = 500;
          response.end(String(error));
        },
      );
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", resolve);
    });
    // A removed folder is noticed where that matters.
    const timer = setInterval(() => void look().catch(() => undefined), LOOK_EVERY_MS);
    timer.unref();
    server.unref();
    // A server that listens on TCP has such an address.
    const { port } = server.address() as AddressInfo;
    const close = (): void => {
      clearInterval(timer);
      server.close();
      server.closeAllConnections();
    };
    return new DiskSpace(`127.0.0.1:${port}`, () => state !== "has room", close);
  }
}

export async function measureDisk(folder: string): Promise<DiskSize> {
  const { bavail, blocks, bsize } = await statfs(folder);
  return { free: bavail * bsize, size: blocks * bsize };
}

/** Bytes that writes leave free on a disk of the size. `given`: what the operator has said, if anything. */
export function reserveOn(size: number, given: number | null): number {
  return given ?? Math.min(DISK_RESERVE_BYTES, Math.floor(size * MAX_DISK_RESERVE_SHARE));
}

/** From CAIRN_DISK_RESERVE: MiB as a whole number. null: the variable is not set. */
export function diskReserveOf(text: string | undefined): number | null | Failure {
  if (text === undefined || text === "") return null;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1024 * 1024;
  return failure("invalid", `CAIRN_DISK_RESERVE must be a whole number of MiB, as 256, got "${text.slice(0, 40)}".`);
}

function stateOf(figures: DiskFigures, before: State): State {
  const { free, reserve } = figures;
  if (free < lastReserve(figures)) return "full";
  return free < reserve * (before === "has room" ? SHORT_BELOW : ROOM_AGAIN_FROM) ? "nearly full" : "has room";
}

function sentenceOf(state: State, folder: string, { free, reserve }: DiskFigures): string {
  const [freeMib, reserveMib] = [free, reserve].map((bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`);
  switch (state) {
    case "has room":
      return `The disk of ${folder} has room again: ${freeMib} are free. Writes are taken.`;
    case "nearly full":
      return `The disk of ${folder} is nearly full: ${freeMib} are free. Writes that would leave less than ${reserveMib} are refused until there is more; reads and deletes go on.`;
    case "full":
      return `The disk of ${folder} is full: ${freeMib} are free. Nothing is written until there is more; reads go on.`;
  }
}
