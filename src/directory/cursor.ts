/**
 * Cursors of lists: base64url of the place where the last page ended, and of the list's ordering. Cursors are opaque to clients. A client
 * may send anything, so a text that is no cursor of ours is refused.
 */
import { failure, type Failure } from "../core/errors.ts";

/** The page begins after the item with this value and id, in this ordering. */
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

/** `invalid` for a text that `encodeCursor` does not write, or wrote for a list in another ordering. */
export function decodeCursor(text: string, ordering: string): Position | Failure {
  const parsed = parse(text);
  if (!Array.isArray(parsed) || parsed.length !== 3) return malformed();
  const [givenOrdering, value, id]: unknown[] = parsed;
  if (typeof givenOrdering !== "string" || !Number.isSafeInteger(value) || typeof id !== "string") return malformed();
  if (givenOrdering !== ordering)
    return failure("invalid", "The cursor belongs to a list with another sort, order or query.");
  // Checked just above to be a safe integer.
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
  return failure("invalid", "The cursor does not come from a list of this API: send it as it was given.");
}
