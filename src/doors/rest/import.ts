/**
 * Import: `POST import?overwrite=&prefix=&throwOnError=&from=`, a line for each entry, as `export` and the files of the Deno KV ecosystem
 * have them. Lines are read as they come and written one batch at a time, each batch as one commit. So an import of any length holds one
 * batch. A line that cannot be read is counted and reported with its number, and the other lines are written. When an import ends early,
 * its answer names the line to continue with, and the same file with `from=` that number continues. Importing a line again changes
 * nothing: without `overwrite` its entry exists already, and with it the same entry is written again.
 */
import { entryOfLine } from "../../codec/json-notation/entry-line.ts";
import { keyOfNotationText } from "../../codec/json-notation/key-notation.ts";
import type { NotationOptions } from "../../codec/json-notation/stored-value.ts";
import { encodeEntryList } from "../../codec/entry-list.ts";
import { refusedKeys } from "../../contracts/grant.ts";
import { concatBytes } from "../../core/bytes.ts";
import { type ErrorCode, failure, type Failure, isFailure } from "../../core/errors.ts";
import {
  MAX_IMPORT_BATCH_BYTES,
  MAX_IMPORT_BATCH_ENTRIES,
  MAX_IMPORT_ERRORS_TOLD,
  MAX_KEY_BYTES,
} from "../../core/limits.ts";
import type { StoredEntry } from "../../core/operations.ts";
import { NO_VERSION, versionstampHex, type Version } from "../../core/versionstamp.ts";
import { problem } from "../http/problem.ts";
import { BodyPieces } from "../http/request-body.ts";
import { compressionIn } from "../http/text.ts";
import { jsonAnswer } from "../http/answers.ts";
import { BodyLines, type Line } from "./body-lines.ts";
import type { Operation, RestCall } from "../http/call.ts";
import { flagOf, numberOf } from "../http/query.ts";
import { NDJSON, prefers } from "./media-types.ts";
import { notationOf, VALUES_PARAMETER } from "./parameters.ts";

interface Options extends NotationOptions {
  readonly overwrite: boolean;
  readonly throwOnError: boolean;
  /** Lines before this one are skipped. */
  readonly from: number;
  /** An encoded key, which is put before the parts of each key. */
  readonly prefix: Uint8Array;
}

export const importEntries: Operation = {
  access: "write",
  query: ["overwrite", "prefix", "throwOnError", "from", VALUES_PARAMETER],
  async answer(call) {
    const options = optionsOf(call);
    if (isFailure(options)) return options;
    const work = new Import(call, options);
    return prefers(call.request.headers, NDJSON) ? progressOf(work) : work.run();
  },
};

/** The answer has a line for each batch that was written, and a last line with `done` or with the problem that ended the import. */
function progressOf(work: Import): Response {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  void tell(work, writable.getWriter());
  return new Response(readable, { headers: { "content-type": NDJSON, "cache-control": "no-store" } });
}

/** Never rejects. The import ends when its client has gone, as an import without progress does. */
async function tell(work: Import, writer: WritableStreamDefaultWriter<Uint8Array>): Promise<void> {
  const encoder = new TextEncoder();
  const write = (line: object): Promise<void> => writer.write(encoder.encode(`${JSON.stringify(line)}\n`));
  try {
    let isTaken = true;
    const stopped = await work.readAll((soFar) => {
      // A client that reads slowly misses some lines, and its import goes on.
      if (!isTaken) return;
      isTaken = false;
      void write(soFar).then(
        () => (isTaken = true),
        () => undefined,
      );
    });
    const ended =
      stopped === null ? { done: true } : { done: false, error: { code: stopped.code, detail: stopped.message } };
    await write({ ...ended, ...work.report() });
    await writer.close();
  } catch (error) {
    await writer.abort(error).catch(() => undefined);
  }
}

function optionsOf(call: RestCall): Options | Failure {
  const { query } = call;
  const notation = notationOf(call);
  if (isFailure(notation)) return notation;
  const overwrite = flagOf(query, "overwrite");
  if (isFailure(overwrite)) return overwrite;
  const throwOnError = flagOf(query, "throwOnError");
  if (isFailure(throwOnError)) return throwOnError;
  const from = numberOf(query, "from", { least: 1, most: Number.MAX_SAFE_INTEGER, fallback: 1 });
  if (isFailure(from)) return from;
  const text = query.get("prefix");
  const prefix = text === null ? { ok: true as const, bytes: new Uint8Array(0) } : keyOfNotationText(text, "prefix");
  return prefix.ok ? { ...notation, overwrite, throwOnError, from, prefix: prefix.bytes } : prefix;
}

/** Lines that take no milliseconds together. */
const SHORT_LINES = 50;

interface LineError {
  readonly line: number;
  readonly code: ErrorCode;
  readonly detail: string;
}

class Import {
  readonly #call: RestCall;
  readonly #options: Options;
  readonly #errors: LineError[] = [];
  #batch: StoredEntry[] = [];
  #batchBytes = 0;
  /** The number of the line that was read last. */
  #line = 0;
  /** Every line before this one was handled: written, skipped, empty or an error. */
  #nextLine: number;
  #count = 0;
  #skipped = 0;
  #errorCount = 0;
  #version: Version = NO_VERSION;

  constructor(call: RestCall, options: Options) {
    this.#call = call;
    this.#options = options;
    this.#nextLine = options.from;
  }

  async run(): Promise<Response> {
    const stopped = await this.readAll(null);
    if (stopped === null) return jsonAnswer(JSON.stringify(this.report()));
    return problem(stopped, { members: this.report() });
  }

  /** Returns why the import ended early, or null if it did not. Calls `written` after each batch. */
  async readAll(written: ((soFar: object) => void) | null): Promise<Failure | null> {
    const { request } = this.#call;
    const pieces = new BodyPieces(request.body, this.#call);
    const lines = new BodyLines(pieces, (first) => compressionIn(request.headers, first));
    const stopped = await this.#readLines(lines, written);
    if (stopped !== null) pieces.leave();
    return stopped;
  }

  async #readLines(lines: BodyLines, written: ((soFar: object) => void) | null): Promise<Failure | null> {
    for (;;) {
      this.#call.ration.rest();
      const some = await nextOf(lines);
      if (some === null) return this.#write();
      if (isFailure(some)) return (await this.#write()) ?? some;
      if (some.length > SHORT_LINES) await this.#call.ration.turn();
      for (const line of some) {
        this.#line += 1;
        if (this.#line < this.#options.from) continue;
        const wrong = this.#take(line);
        if (wrong !== null) {
          this.#note(wrong);
          if (this.#options.throwOnError) return (await this.#write(this.#line)) ?? this.#atLine(wrong);
        }
        if (this.#batch.length < MAX_IMPORT_BATCH_ENTRIES && this.#batchBytes < MAX_IMPORT_BATCH_BYTES) continue;
        const failed = await this.#write();
        if (failed !== null) return failed;
        written?.(this.#soFar());
        await this.#call.ration.turn();
      }
    }
  }

  /** Why the line has no entry that may be written. null: its entry was taken. */
  #take(line: Line): Failure | null {
    if (typeof line !== "string") return line;
    const read = entryOfLine(line, this.#options);
    if (!read.ok) return read;
    if (read.entry === null) return null;
    const { prefix } = this.#options;
    const key = prefix.length === 0 ? read.entry.key : concatBytes([prefix, read.entry.key]);
    if (key.length > MAX_KEY_BYTES) {
      return failure("limit", `key has ${key.length} bytes with the prefix; the limit is ${MAX_KEY_BYTES}.`);
    }
    const refused = refusedKeys(this.#call.grant, [key]);
    if (refused !== null) return refused;
    this.#batch.push({ ...read.entry, key, version: NO_VERSION });
    this.#batchBytes += key.length + read.entry.value.length;
    return null;
  }

  /**
   * Writes what was read. After a failure, which is returned, nothing of it is written. `nextLine`: the line with which the next part
   * begins.
   */
  async #write(nextLine = this.#line + 1): Promise<Failure | null> {
    if (this.#batch.length > 0) {
      const { stub, grant, ration } = this.#call;
      const list = encodeEntryList({ entries: this.#batch, more: false, readAt: NO_VERSION });
      this.#batch = [];
      this.#batchBytes = 0;
      ration.rest();
      const answer = await this.#asked(() => stub.importEntries(grant, list, this.#options.overwrite));
      if (isFailure(answer)) return answer;
      this.#count += answer.written;
      this.#skipped += answer.skipped;
      this.#version = answer.version;
    }
    this.#nextLine = Math.max(this.#options.from, nextLine);
    return null;
  }

  /** Turns a throw into a failure, so that the answer can also say how far the import came. */
  async #asked<T>(ask: () => Promise<T>): Promise<T | Failure> {
    try {
      return await ask();
    } catch (error) {
      return this.#call.failureOfThrown(error, "database", "write");
    }
  }

  #note({ code, message }: Failure): void {
    this.#errorCount += 1;
    if (this.#errors.length < MAX_IMPORT_ERRORS_TOLD) {
      this.#errors.push({ line: this.#line, code, detail: message });
    }
  }

  #atLine({ code, message }: Failure): Failure {
    return failure(code, `Line ${this.#line}: ${message}`);
  }

  #soFar() {
    return { count: this.#count, skipped: this.#skipped, errors: this.#errorCount, nextLine: this.#nextLine };
  }

  report() {
    return {
      count: this.#count,
      skipped: this.#skipped,
      errors: this.#errorCount,
      lineErrors: this.#errors,
      nextLine: this.#nextLine,
      ...(this.#version === NO_VERSION ? {} : { versionstamp: versionstampHex(this.#version) }),
    };
  }
}

async function nextOf(lines: BodyLines): Promise<readonly Line[] | null | Failure> {
  try {
    return await lines.next();
  } catch {
    return failure("invalid", "The body of the request broke off.");
  }
}
