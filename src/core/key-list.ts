/**
 * A deployment's keys of one kind, as in its environment: `kid:base64,kid2:base64`. The first key is current, and the others are still
 * accepted. So a key is rotated without an interruption: add the new key in front, and drop the old one when nothing needs it any more.
 */
import { fromBase64 } from "./bytes.ts";
import { failure, type Failure } from "./errors.ts";

export interface NamedKey {
  readonly kid: string;
  readonly secret: Uint8Array<ArrayBuffer>;
}

/** The current key first, then the other accepted keys. */
export type KeyList = readonly [NamedKey, ...NamedKey[]];

export interface KeyLength {
  readonly atLeast: number;
  readonly atMost: number;
}

/**
 * The keys. `invalid` with a sentence to follow the variable's name and a comma. It names the entry by its place and shows nothing of its
 * text, which may be the secret.
 */
export function parseKeyList(text: string, { atLeast, atMost }: KeyLength): KeyList | Failure {
  const keys: NamedKey[] = [];
  for (const [index, entry] of text.split(",").entries()) {
    const where = `entry ${index + 1}`;
    const colon = entry.indexOf(":");
    if (colon === -1) return failure("invalid", `${where}: expected kid:base64, found no colon.`);
    const kid = entry.slice(0, colon).trim();
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(kid)) {
      return failure("invalid", `${where}: the key id before the colon must be 1 to 64 letters, digits, "-" or "_".`);
    }
    if (keys.some((key) => key.kid === kid))
      return failure("invalid", `${where}: its key id was used by an entry before it.`);
    const secret = decodeBase64(entry.slice(colon + 1).trim());
    if (secret === undefined) return failure("invalid", `${where}: what follows the colon is not base64.`);
    if (secret.length < atLeast) {
      return failure("invalid", `${where}: the key has ${secret.length} bytes, at least ${atLeast} are needed.`);
    }
    if (secret.length > atMost) {
      return failure("invalid", `${where}: the key has ${secret.length} bytes, ${atMost} are needed.`);
    }
    keys.push({ kid, secret });
  }
  const [current, ...accepted] = keys;
  // Splitting a text gives at least one part, and every part has become a key or ended the function.
  if (current === undefined) return failure("invalid", "no entry: expected kid:base64.");
  return [current, ...accepted];
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined;
  try {
    return fromBase64(text);
  } catch {
    return undefined;
  }
}
