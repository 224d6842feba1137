/**
 * Texts that are made piece by piece, as their client takes them. What they are made of is in memory meanwhile, and the object that gave it
 * counts it as under way: so it is let go of when the object gives its reader up.
 */
import type { Ration } from "../http/ration.ts";
import type { SessionLink } from "./session-link.ts";

/** Sent together. */
const PIECE_CHARACTERS = 64 * 1024;

const encoder = new TextEncoder();

/** The next pieces together, and whether there are no more. */
export function nextBytes(pieces: Iterator<string>): { readonly bytes: Uint8Array; readonly isLast: boolean } {
  let text = "";
  let isLast = false;
  while (text.length < PIECE_CHARACTERS && !isLast) {
    const { done, value } = pieces.next();
    isLast = done === true;
    if (!isLast) text += value;
  }
  return { bytes: encoder.encode(text), isLast };
}

/**
 * `link`: what they are made of came on it, and it stays open until they are taken. null: it is small. `ration`: each of the pieces is
 * made at the request's turn.
 */
export function textStream(
  texts: Iterator<string>,
  link: SessionLink | null,
  ration: Pick<Ration, "turn" | "rest">,
): ReadableStream<Uint8Array> {
  let pieces: Iterator<string> | null = texts;
  const end = (): void => {
    pieces = null;
    link?.close();
  };
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        link?.onEnd(() => {
          if (pieces === null) return;
          pieces = null;
          controller.error(new Error("The page was taken too slowly, and others waited for the memory."));
        });
      },
      pull: async (controller) => {
        // What is small is one piece.
        if (link !== null) await ration.turn();
        if (pieces === null) return;
        const { bytes, isLast } = nextBytes(pieces);
        ration.rest();
        if (bytes.length > 0) controller.enqueue(bytes);
        if (!isLast) return;
        end();
        controller.close();
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  );
}
