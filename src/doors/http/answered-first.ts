/** Answers that are given before the body of their request has come, and what is done with that body. */
import { UNTOUCHED } from "../../contracts/untouched.ts";
import { MAX_DISCARDED_BODY_BYTES } from "../../core/limits.ts";
import type { Timers } from "../../core/timers.ts";

/** A client that pauses for longer than this is reading the answer. */
const DISCARD_PAUSE_MS = 3000;

/** A client that takes longer than this in all has had time to read the answer. */
const DISCARD_MS = 10_000;

/** Makes a pipe: what is written into its one end comes out of the other. Its length is known from the beginning. */
export type PipeOfLength = (bytes: number) => {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
};

export type AnsweredFirst = (request: Request, answer: Response) => Response | Promise<Response>;

/**
 * Sends an answer that refuses a request at once. After it, the unread rest of the request's body is taken and dropped for a while. The
 * platform would close a connection whose request was answered before its body had come, and many clients read the answer only after they
 * have sent everything.
 */
export function answeringFirst(timers: Timers, pipeOfLength: PipeOfLength): AnsweredFirst {
  return (request, answer) => {
    // The body of a request that was carried out was read before. No client sends much with a GET or a DELETE.
    const isRefusal = answer.status >= 400 || answer.headers.has(UNTOUCHED.header);
    if (!isRefusal || request.body === null || request.body.locked) return answer;
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
  // A client that has the whole length has the whole answer, although the stream ends later.
  const { readable, writable } = pipeOfLength(bytes.length);
  void answerAndDiscard(bytes, writable.getWriter(), body, timers);
  return new Response(readable, answer);
}

/** Never rejects: a client that is gone needs neither the answer nor the rest. */
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

/** Resolves at the body's end, after 32 MiB, after a pause, or after ten seconds. Never rejects. */
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
    // The client has closed the connection, so nobody needs the answer.
  } finally {
    cancelEnd();
  }
}
