/**
 * Cursors of lists: base64url of where the last page ended and of the ordering that it was asked with. Opaque to clients, who
 * may still send anything, so what does not read back as one of ours is refused.
 */
import { failure, type Failure } from "../core/errors.ts";

/** After the item of this value and id, in this ordering. */
export interface Position {
  readonly ordering: string;
  readonly value: number;
  readonly id: string;
}

/** Ids and orderings are ASCII. */
export function encodeCursor({ ordering, value, id }: Position): string {
  return btoa(JSON.stringify([ordering, value, id]))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/=+$/, "");
}

/** `invalid` for what `encodeCursor` does not write, or wrote for a list in another ordering. */
export function decodeCursor(text: string, ordering: string): Position | Failure {
  const parsed = parse(text);
  if (!Array.isArray(parsed) || parsed.length !== 3) return malformed();
  const [givenOrdering, value, id]: unknown[] = parsed;
  if (typeof givenOrdering !== "string" || !Number.isSafeInteger(value) || typeof id !== "string") return malformed();
  if (givenOrdering !== ordering)
    return failure("invalid", "The cursor belongs to a list with another sort, order or query.");
  // Shown to be a safe integer just above.
  return { ordering, value: value as number, id };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(atob(text.replaceAll("-", "+").replaceAll("_", "/")));
  } catch {
    return undefined;
  }
}

function malformed(): Failure {
  return failure("invalid", "The cursor is not one that a list of ours answered with.");
}
