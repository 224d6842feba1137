/** Request bodies, never more of them in memory than allowed. */
import { concatBytes } from "../../core/bytes.ts";
import { failure, type Failure } from "../../core/errors.ts";
import { MAX_DISCARDED_BODY_BYTES } from "../../core/limits.ts";

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
