/** The existing tool, as its users run it: processes of `denokv`, and the SQLite files that it makes. */
import { spawn, spawnSync } from "node:child_process";
import { createServer } from "node:net";
import { DatabaseSync } from "node:sqlite";
import { toHex } from "../../src/core/bytes.ts";
import { type Version, versionOfHex } from "../../src/core/versionstamp.ts";
import type { S3Place } from "../support/s3-place.ts";

export const denokvProgram = process.env["DENOKV"] ?? "denokv";

/** Undefined when it runs; else what to do. */
export function denokvMissing(): string | undefined {
  const { status } = spawnSync(denokvProgram, ["--help"]);
  if (status === 0) return undefined;
  return `There is no ${denokvProgram} here. Install it with
  cargo install denokv --locked --version 0.12.0
and put it on PATH, or name the program in DENOKV.`;
}

export function s3Arguments(place: S3Place, prefix: string): string[] {
  // The tool joins the bucket to the endpoint's path as text.
  return ["--s3-bucket", place.bucket, "--s3-prefix", prefix, "--s3-endpoint", `${place.endpoint}/`];
}

export function s3Environment(place: S3Place): NodeJS.ProcessEnv {
  return {
    ...process.env,
    AWS_ACCESS_KEY_ID: place.accessKeyId,
    AWS_SECRET_ACCESS_KEY: place.secretAccessKey,
    AWS_REGION: place.region,
  };
}

/** What it wrote to stdout; throws with everything when it fails. */
export async function denokv(file: string, args: readonly string[], environment = process.env): Promise<string> {
  const child = spawn(denokvProgram, ["--sqlite-path", file, ...args], {
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let everything = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    everything += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => (everything += text));
  const status = await new Promise((resolve, reject) => {
    child.on("close", resolve).on("error", reject);
  });
  if (status !== 0) throw new Error(`denokv ${args.join(" ")} ended with ${String(status)}:\n${everything}`);
  return output;
}

/** The points that `pitr list` shows, the oldest first. */
export async function listPoints(file: string): Promise<Version[]> {
  const lines = (await denokv(file, ["pitr", "list"])).trim().split("\n");
  return lines
    .filter((line) => line !== "")
    .map((line) => {
      const version = versionOfHex(line.slice(0, 20));
      if (version === undefined) throw new Error(`not a point: ${line}`);
      return version;
    })
    .toReversed();
}

export interface FileEntry {
  readonly version: number;
  readonly encoding: number;
  readonly length: number;
  /** null: longer than was asked for. */
  readonly value: Uint8Array | null;
}

/** What a checked-out file holds, by key in hex. Values of more than `maxValueBytes` are not loaded. */
export function entriesOf(file: string, maxValueBytes: number): Map<string, FileEntry> {
  const database = new DatabaseSync(file, { readOnly: true });
  const rows = database
    .prepare(
      "SELECT k, version, v_encoding AS encoding, length(v) AS length, CASE WHEN length(v) <= ? THEN v END AS value FROM kv",
    )
    .all(maxValueBytes);
  database.close();
  // The columns of the query.
  return new Map(rows.map((row) => [toHex(row["k"] as Uint8Array), row as unknown as FileEntry]));
}

/** What `attempt` gives, once it gives something: until a standby listens and has caught up, it refuses or answers with what it had. */
export async function eventually<T>(attempt: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + 40_000;
  for (;;) {
    const value = await attempt().catch(() => undefined);
    if (value !== undefined) return value;
    if (Date.now() > deadline) throw new Error("the standby does not follow");
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() =>
        typeof address === "object" && address !== null ? resolve(address.port) : reject(new Error("no port")),
      );
    });
  });
}
