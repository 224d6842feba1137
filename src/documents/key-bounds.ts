/**
 * The bounds of a `getMany` as encoded keys. As the value of an id, `CDB:tableMinId` is below all values and `CDB:tableMaxId` above all.
 * `CDB:place:…` is a place between documents, which an answer names when the next page begins at an entry that is no document.
 */
import { compareBytes, concatBytes, justAfter } from "../core/bytes.ts";
import { fromBase64Url, toBase64Url } from "../codec/base64url.ts";
import { encodeKey } from "../codec/key-codec.ts";
import type { KeyRange } from "../codec/key-prefix.ts";
import { refuse, tooMuch } from "../codec/json-notation/members.ts";
import { assert } from "../core/assert.ts";
import { MAX_KEY_BYTES } from "../core/limits.ts";
import { RESERVED_PREFIX } from "./definition.ts";
import type { DocumentId } from "./ids.ts";

const MAX_ID = "CDB:tableMaxId";
const MIN_ID = "CDB:tableMinId";
const PLACE = "CDB:place:";

/** Above every byte with which a part of a key begins. */
const PAST_EVERY_PART = Uint8Array.of(0xff);

/** Whether a text that begins with `CDB:` means something as a bound. */
export function isBoundWord(word: string): boolean {
  return word === MAX_ID || word === MIN_ID || placeOfWord(word) !== null;
}

/** The word for a place: the bytes of an entry's key after those of its table. */
export function wordOfPlace(bytes: Uint8Array): string {
  return PLACE + toBase64Url(bytes);
}

function placeOfWord(word: string): Uint8Array | null {
  if (!word.startsWith(PLACE)) return null;
  const bytes = fromBase64Url(word.slice(PLACE.length));
  return bytes === undefined || bytes.length > MAX_KEY_BYTES ? null : bytes;
}

interface Bound {
  readonly bytes: Uint8Array;
  /** Whether an entry may have exactly this key, which then belongs to the range. */
  readonly isKey: boolean;
}

function boundOf(prefix: Uint8Array, ids: readonly DocumentId[], name: string): Bound {
  const parts = [prefix];
  for (const id of ids) {
    if (id === MIN_ID) return { bytes: concatBytes(parts), isKey: false };
    if (id === MAX_ID) return { bytes: concatBytes([...parts, PAST_EVERY_PART]), isKey: false };
    const place = typeof id === "string" && id.startsWith(RESERVED_PREFIX) ? placeOfWord(id) : null;
    if (place !== null) return { bytes: concatBytes([prefix, place]), isKey: true };
    const encoded = encodeKey([id]);
    assert(encoded.ok, "an id to be a part of a key");
    parts.push(encoded.bytes);
  }
  const bytes = concatBytes(parts);
  if (bytes.length > MAX_KEY_BYTES) {
    tooMuch(`appId, tableId and ${name} make a key of ${bytes.length} bytes; the limit is ${MAX_KEY_BYTES}.`);
  }
  return { bytes, isKey: true };
}

/**
 * The range from `ids` to `endIds`, both inclusive, of a table with this encoded key. Refuses ends that contradict the direction.
 */
export function rangeOfIds(
  prefix: Uint8Array,
  ids: readonly DocumentId[],
  endIds: readonly DocumentId[],
  isDescending: boolean,
): KeyRange {
  const [first, last] = [boundOf(prefix, ids, "ids"), boundOf(prefix, endIds, "endIds")];
  const [lower, upper] = isDescending ? [last, first] : [first, last];
  if (compareBytes(lower.bytes, upper.bytes) > 0) {
    return refuse(
      isDescending
        ? `ids is below endIds; with orderType "desc" the page goes from the greater ids to the smaller endIds.`
        : `ids is above endIds; with orderType "asc" the page goes from the smaller ids to the greater endIds.`,
    );
  }
  return { start: lower.bytes, end: upper.isKey ? justAfter(upper.bytes) : upper.bytes };
}

/** The ids with which the next page begins at an entry that is no document. `count`: of the table's ids. */
export function idsOfPlace(bytes: Uint8Array, count: number): readonly DocumentId[] {
  return Array.from({ length: count }, (_, index) => (index === 0 ? wordOfPlace(bytes) : MIN_ID));
}
