/** Answers that are given before the body of their request has come, and what becomes of that body. */
import { MAX_DISCARDED_BODY_BYTES } from "../../core/limits.ts";
import type { Timers } from "../../core/timers.ts";

/** A client that pauses longer is looking at the answer. */
const DISCARD_PAUSE_MS = 3000;

/** And one that takes longer altogether has had the time to look at it. */
const DISCARD_MS = 10_000;

/** What is written into one end of it comes out of the other, and the length is known from the beginning. */
export type PipeOfLength = (bytes: number) => {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
};

export type AnsweredFirst = (request: Request, answer: Response) => Response | Promise<Response>;

/**
 * Lets an answer that refuses a request out at once. Behind it, what nobody has read of the request's body is taken and dropped for a
 * while: the platform closes a connection whose request was answered before its body had come, and many clients read the answer only
 * when they have sent all.
 */
export function answeringFirst(timers: Timers, pipeOfLength: PipeOfLength): AnsweredFirst {
  return (request, answer) => {
    // What was carried out was read before, and no client sends much with a GET or a DELETE.
    if (answer.status < 400 || request.body === null || request.body.locked) return answer;
    return answeredBefore(request.body, answer, timers, pipeOfLength);
  };
}

async function answeredBefore(
  body: ReadableStream<Uint8Array>,
  answer: Response,
  timers: Timers,
  pipeOfLength: PipeOfLength,
): Promise<Response> {
  const bytes = new Uint8Array(await answer.arrayBuffer());
  // Whoever has taken its length has the whole answer; its end comes later.
  const { readable, writable } = pipeOfLength(bytes.length);
  void answerAndDiscard(bytes, writable.getWriter(), body, timers);
  return new Response(readable, answer);
}

/** Never rejects: a client that is gone needs neither. */
async function answerAndDiscard(
  answer: Uint8Array,
  writer: WritableStreamDefaultWriter<Uint8Array>,
  body: ReadableStream<Uint8Array>,
  timers: Timers,
): Promise<void> {
  try {
    await writer.write(answer);
    await discard(body, timers);
    await writer.close();
  } catch (error) {
    await writer.abort(error).catch(() => undefined);
  }
}

/** Resolves at the body's end, or after 32 MiB, a pause or ten seconds. Never rejects. */
async function discard(body: ReadableStream<Uint8Array>, timers: Timers): Promise<void> {
  const reader = body.getReader();
  const { promise: enough, resolve: end } = Promise.withResolvers<undefined>();
  const cancelEnd = timers.after(DISCARD_MS, () => end(undefined));
  try {
    for (let length = 0; length <= MAX_DISCARDED_BODY_BYTES;) {
      const cancelPause = timers.after(DISCARD_PAUSE_MS, () => end(undefined));
      const part = await Promise.race([reader.read(), enough]);
      cancelPause();
      if (part === undefined) break;
      if (part.done) return;
      length += part.value.length;
    }
    await reader.cancel();
  } catch {
    // The client broke off: nobody is there to be answered.
  } finally {
    cancelEnd();
  }
}
