/** The clock of a server's processes, set ahead and back while they run, as an administrator or a time server does. */
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const source = fileURLToPath(new URL("moved-clock.c", import.meta.url));

export class MovedClock {
  /** What a server is to be started with. */
  readonly environment: Readonly<Record<string, string>>;
  readonly #folder: string;
  readonly #file: string;

  private constructor(folder: string, library: string) {
    this.#folder = folder;
    this.#file = join(folder, "offset");
    writeFileSync(this.#file, Buffer.alloc(8));
    this.environment = { LD_PRELOAD: library, CLOCK_OFFSET_FILE: this.#file };
  }

  /** null: this system has no C compiler, or another loader. */
  static make(): MovedClock | null {
    const folder = mkdtempSync(join(tmpdir(), "cairn-clock-"));
    const library = join(folder, "moved-clock.so");
    const compiled = spawnSync("cc", ["-shared", "-fPIC", "-O1", "-o", library, source]);
    if (process.platform === "linux" && compiled.status === 0) return new MovedClock(folder, library);
    rmSync(folder, { recursive: true });
    return null;
  }

  /** So many seconds ahead of the real time from now on. */
  setAhead(seconds: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(seconds));
    const file = openSync(this.#file, "r+");
    writeSync(file, bytes, 0, 8, 0);
    closeSync(file);
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }
}
