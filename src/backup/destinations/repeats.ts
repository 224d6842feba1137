/** What every driver checks when a request is refused that an earlier try, whose answer was lost, may have carried out. */
import { equalBytes } from "../../core/bytes.ts";
import {
  type Destination,
  type DestinationFailure,
  type Done,
  destinationFailure,
  done,
  type PutIfAbsentDone,
  type UploadedPart,
} from "./destination.ts";

/** After a refusal to overwrite an object: succeeds if the object has exactly these bytes. `refusal`: the answer if it has others. */
export async function alreadyWritten(
  destination: Pick<Destination, "head" | "get">,
  name: string,
  bytes: Uint8Array,
  refusal: DestinationFailure,
): Promise<PutIfAbsentDone | DestinationFailure> {
  const head = await destination.head(name);
  if (head.ok && head.size !== bytes.length) return refusal;
  const there = head.ok ? await destination.get(name, undefined, bytes.length) : head;
  if (there.ok) return equalBytes(there.bytes, bytes) ? { ok: true, alreadyThere: true } : refusal;
  // The object was deleted between the two requests, so another try finds it absent.
  if (there.class === "not-found") return destinationFailure("retry", `Object "${name}" was deleted just now.`);
  return there;
}

/**
 * After an upload that was to be completed was not found: succeeds if the object is what the upload was to make. `refusal`: the answer if
 * it is not.
 */
export async function alreadyCompleted(
  destination: Pick<Destination, "head">,
  name: string,
  parts: readonly UploadedPart[],
  refusal: DestinationFailure,
): Promise<Done | DestinationFailure> {
  const object = await destination.head(name);
  const size = parts.reduce((sum, part) => sum + part.size, 0);
  if (object.ok) return object.size === size ? done : refusal;
  return object.class === "not-found" ? refusal : object;
}
