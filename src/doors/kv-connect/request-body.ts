/** Request bodies, never more of them in memory than allowed. */
import { concatBytes } from "../../core/bytes.ts";
import { failure, type Failure } from "../../core/errors.ts";
import { MAX_DISCARDED_BODY_BYTES } from "../../core/limits.ts";
import type { Timers } from "../../core/timers.ts";

/** A client that pauses longer may be waiting for the answer before it sends the rest. */
const DISCARD_PAUSE_MS = 3000;

/** The whole body, or a failure for one of more than `limit` bytes (code "limit") or one that breaks off (code "invalid"). */
export async function readBody(request: Request, limit: number): Promise<Uint8Array | Failure> {
  try {
    const announced = request.headers.get("content-length");
    if (announced === null || Number(announced) > limit) return await readStream(request.body, limit);
    // HTTP ends the body where its content-length says; the check below is for callers inside the platform.
    const bytes = new Uint8Array(await request.arrayBuffer());
    return bytes.length > limit ? tooLarge(`has ${bytes.length} bytes`, limit) : bytes;
  } catch {
    return failure("invalid", "The body of the request broke off.");
  }
}

/** The answer; one that refuses the request, when what nobody has read of the request's body is out of the way. */
export async function afterItsBody(
  request: Request,
  answer: Response | Promise<Response>,
  timers: Timers,
): Promise<Response> {
  const settled = await answer;
  // What was carried out was read before, and no client sends much with a GET or a DELETE.
  if (settled.status >= 400) await discardBody(request, timers);
  return settled;
}

/**
 * Takes and drops what nobody has read of a body: the platform closes a connection whose request was answered before all of it
 * was read, and the answer is lost to clients that look for it only when they have sent all. Resolves at the body's end, after
 * 32 MiB or a pause, or at once if another has the body. Never rejects.
 */
async function discardBody(request: Request, timers: Timers): Promise<void> {
  if (request.body === null || request.body.locked) return;
  const reader = request.body.getReader();
  try {
    for (let length = 0; length <= MAX_DISCARDED_BODY_BYTES;) {
      const { promise: pause, resolve } = Promise.withResolvers<undefined>();
      const cancelTimer = timers.after(DISCARD_PAUSE_MS, () => resolve(undefined));
      const part = await Promise.race([reader.read(), pause]);
      cancelTimer();
      if (part === undefined) break;
      if (part.done) return;
      length += part.value.length;
    }
    await reader.cancel();
  } catch {
    // The client broke off: nobody is there to be answered.
  }
}

/**
 * A body that is too large is read on for a while and dropped: many clients look at the answer only when they have sent all, and
 * see nothing but a reset connection if it is closed before.
 */
async function readStream(body: ReadableStream<Uint8Array> | null, limit: number): Promise<Uint8Array | Failure> {
  if (body === null) return new Uint8Array(0);
  const reader = body.getReader();
  let chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return length > limit ? tooLarge(`has ${length} bytes`, limit) : concatBytes(chunks);
    length += value.length;
    if (length <= limit) {
      chunks.push(value);
    } else {
      chunks = [];
      if (length > limit + MAX_DISCARDED_BODY_BYTES) {
        await reader.cancel();
        return tooLarge(`has at least ${length} bytes`, limit);
      }
    }
  }
}

function tooLarge(has: string, limit: number): Failure {
  return failure("limit", `The body of the request ${has}; the limit is ${limit}.`);
}
