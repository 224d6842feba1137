/** Files of the data folder that hold secrets: an object of texts as JSON, which only its owner can read. */
import { chmodSync, closeSync, fsyncSync, openSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { failure, type Failure } from "../core/errors.ts";

export type Kept = Readonly<Record<string, string>>;

/**
 * The contents of the file; empty when there is no file. `invalid`: the file is not one of ours. The sentence names it and shows nothing
 * of it.
 */
export function readKept(file: string): { readonly values: Kept } | Failure {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
    if ((statSync(file).mode & 0o077) !== 0) chmodSync(file, 0o600);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return { values: {} };
    return failure("invalid", `${file} cannot be read: ${String(error)}`);
  }
  const values = parseObject(text);
  if (values === undefined || Object.values(values).some((value) => typeof value !== "string")) {
    return failure("invalid", `${file} is not an object of texts. Put it right, or remove it to get new ones.`);
  }
  // Checked just above: every value is a string.
  return { values: values as Kept };
}

/**
 * Writes the file whole or not at all, even when the machine stops midway, and durably when it has returned. The file's folder must
 * exist.
 */
export function writeKept(file: string, values: Kept): void {
  const unfinished = `${file}.new`;
  writeFileSync(unfinished, `${JSON.stringify(values, null, 2)}\n`, { mode: 0o600, flush: true });
  renameSync(unfinished, file);
  // The folder holds the new name. Without this, a machine that stops may forget the name after data that depends on the values was
  // stored.
  const folder = openSync(dirname(file), "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    // A JSON object has string keys. Nothing else is known of it.
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
