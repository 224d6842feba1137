/** Which media type a client asks for, and which it sends. */
import type { HeaderLookup } from "../http/header-lookup.ts";

export const BYTES = "application/octet-stream";
export const NDJSON = "application/x-ndjson";

/** A media type without its parameters, in lower case. */
export function typeOf(header: string | null): string {
  const [essence = ""] = (header ?? "").split(";");
  return essence.trim().toLowerCase();
}

/** Whether `Accept` names this type before JSON. If not, the answer is JSON. */
export function prefers(headers: HeaderLookup, type: string): boolean {
  const types = (headers.get("accept") ?? "").split(",").map(typeOf);
  return types.find((each) => each === type || each === "application/json" || each === "*/*") === type;
}
