/**
 * Request bodies. No more of them is in memory than allowed, and none is awaited without end: a body has to come at
 * `MIN_CLIENT_BYTES_PER_SECOND`, after a first `MAX_REQUEST_PAUSE_MS`.
 */
import { parseJson } from "../../codec/json-notation/bounded-json.ts";
import { concatBytes } from "../../core/bytes.ts";
import type { Clock } from "../../core/clock.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { MAX_REQUEST_PAUSE_MS, MIN_CLIENT_BYTES_PER_SECOND } from "../../core/limits.ts";
import { inTime, RepeatedDeadline, type Timers } from "../../core/timers.ts";
import { textOf } from "./text.ts";

export interface BodyTime {
  readonly clock: Clock;
  readonly timers: Timers;
}

/**
 * The whole body, or a failure: "limit" when it has more than `limit` bytes, "invalid" when it breaks off or does not come in time.
 * `answeringFirst` handles what was not read.
 */
export async function readBody(request: Request, limit: number, time: BodyTime): Promise<Uint8Array | Failure> {
  try {
    const announced = announcedLength(request.headers);
    if (announced === null) return await readStream(request.body, limit, time);
    if (announced > limit) return tooLarge(`has ${announced} bytes`, limit);
    // HTTP ends the body where its content-length says. The check below is for callers inside the platform.
    const whole = request.arrayBuffer();
    const buffer = await inTime<ArrayBuffer | null>(time.timers, timeFor(announced), whole, () => null);
    if (buffer === null) return LATE;
    const bytes = new Uint8Array(buffer);
    return bytes.length > limit ? tooLarge(`has ${bytes.length} bytes`, limit) : bytes;
  } catch {
    return failure("invalid", "The body of the request broke off.");
  }
}

export interface JsonBody {
  readonly text: string;
  /** Undefined for an empty body. */
  readonly value: unknown;
}

/** Fails as `readBody` does; "invalid" also for a body that is not JSON. */
export async function readJsonBody(request: Request, limit: number, time: BodyTime): Promise<JsonBody | Failure> {
  const bytes = await readBody(request, limit, time);
  return isFailure(bytes) ? bytes : jsonOfBody(request, bytes);
}

/** Reads the JSON of a body whose bytes are there already. */
export function jsonOfBody(request: Request, bytes: Uint8Array): JsonBody | Failure {
  const text = textOf(request, bytes);
  if (typeof text !== "string") return text;
  if (text.trim() === "") return { text, value: undefined };
  const parsed = parseJson(text, "The body");
  return parsed.ok ? { text, value: parsed.json } : parsed;
}

type Piece = Awaited<ReturnType<ReadableStreamDefaultReader<Uint8Array>["read"]>>;

async function readStream(
  body: ReadableStream<Uint8Array> | null,
  limit: number,
  time: BodyTime,
): Promise<Uint8Array | Failure> {
  const pieces = new BodyPieces(body, time);
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const piece = await pieces.next();
    if (piece === null) return concatBytes(chunks);
    if (!(piece instanceof Uint8Array)) return piece;
    length += piece.length;
    if (length > limit) {
      pieces.leave();
      return tooLarge(`has at least ${length} bytes`, limit);
    }
    chunks.push(piece);
  }
}

/** A body in pieces, for code that works on it as it comes. Only the time in which a piece is awaited counts. */
export class BodyPieces {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array> | null;
  readonly #time: BodyTime;
  readonly #deadline: RepeatedDeadline;
  #waitedMs = 0;
  #bytes = 0;

  constructor(body: ReadableStream<Uint8Array> | null, time: BodyTime) {
    this.#reader = body?.getReader() ?? null;
    this.#time = time;
    this.#deadline = new RepeatedDeadline(time.timers, () => time.clock.now());
  }

  /** null: the body has ended. "invalid" when nothing comes in time. Rejects when the body breaks off. */
  async next(): Promise<Uint8Array | null | Failure> {
    if (this.#reader === null) return null;
    const { clock } = this.#time;
    const since = clock.now();
    const left = timeFor(this.#bytes) - this.#waitedMs;
    const mostMs = Math.max(0, Math.min(left, MAX_REQUEST_PAUSE_MS));
    const piece = await this.#deadline.inTime<Piece | null>(mostMs, this.#read(this.#reader), () => null);
    if (piece === null) {
      this.#cancel();
      return LATE;
    }
    if (piece.done) {
      this.#deadline.end();
      return null;
    }
    this.#waitedMs += Math.max(0, clock.now() - since);
    this.#bytes += piece.value.length;
    return piece.value;
  }

  async #read(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Piece> {
    try {
      return await reader.read();
    } catch (error) {
      this.#deadline.end();
      throw error;
    }
  }

  /** Leaves the rest to others. */
  leave(): void {
    this.#deadline.end();
    this.#reader?.releaseLock();
  }

  /** Drops the rest, whether or not its client notices. */
  #cancel(): void {
    void this.#reader?.cancel().catch(() => undefined);
  }
}

function announcedLength(headers: Headers): number | null {
  const text = headers.get("content-length");
  return text === null || !/^\d{1,15}$/.test(text) ? null : Number(text);
}

/** How many milliseconds so many bytes may take. */
function timeFor(bytes: number): number {
  return MAX_REQUEST_PAUSE_MS + (bytes / MIN_CLIENT_BYTES_PER_SECOND) * 1000;
}

const LATE = failure(
  "invalid",
  `The rest of the body did not come in time: nothing of it for ${MAX_REQUEST_PAUSE_MS / 1000} seconds, or less than ${MIN_CLIENT_BYTES_PER_SECOND} bytes a second.`,
);

function tooLarge(has: string, limit: number): Failure {
  return failure("limit", `The body of the request ${has}; the limit is ${limit}.`);
}
