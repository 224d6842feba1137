/** Atomic writes as the database's object takes them from every door. */
import { decodeAtomicWriteOutput } from "../../codec/datapath-answers.ts";
import { encodeAtomicWrite } from "../../codec/datapath-requests.ts";
import type { Failure } from "../../core/errors.ts";
import type { AtomicWrite, CommitResult } from "../../core/operations.ts";
import type { RestCall } from "./call.ts";

/** Checks that do not hold are a result, and no failure: it has no `code`. */
export async function commit(
  { stub, grant }: Pick<RestCall, "stub" | "grant">,
  write: AtomicWrite,
): Promise<CommitResult | Failure> {
  const answer = await stub.atomicWrite(grant, encodeAtomicWrite(write));
  if (!(answer instanceof Uint8Array)) return answer;
  const decoded = decodeAtomicWriteOutput(answer);
  return decoded.ok ? decoded.result : decoded;
}
