/** Sends atomic writes to the database's object, as every door does. */
import { decodeAtomicWriteOutput } from "../../codec/datapath-answers.ts";
import { encodeAtomicWrite } from "../../codec/datapath-requests.ts";
import type { Failure } from "../../core/errors.ts";
import type { AtomicWrite, CommitResult } from "../../core/operations.ts";
import type { RestCall } from "./call.ts";

/** Failed checks are a result and not a failure: the result has no `code`. */
export async function commit(
  { stub, grant }: Pick<RestCall, "stub" | "grant">,
  write: AtomicWrite,
): Promise<CommitResult | Failure> {
  const answer = await stub.atomicWrite(grant, encodeAtomicWrite(write));
  if (!(answer instanceof Uint8Array)) return answer;
  const decoded = decodeAtomicWriteOutput(answer);
  return decoded.ok ? decoded.result : decoded;
}
