/** What every driver finds out when a request is refused that an earlier try of its own, whose answer was lost, may have done. */
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

/** After a refusal to overwrite an object: whether it has these very bytes. `refusal`: it has others. */
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
  // Deleted between the two requests: another try finds it absent.
  if (there.class === "not-found") return destinationFailure("retry", `Object "${name}" was deleted just now.`);
  return there;
}

/** After an upload was not found that was to be completed: whether the object is what it was to become. `refusal`: it is not. */
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
