/**
 * The ids of documents, and the keys that they make: `[appId, tableId, ...ids]` in the order of the table's definition. An id is a string
 * or an integer. Entries under a table whose keys have other parts are no documents and are left alone.
 */
import { assert } from "../core/assert.ts";
import { concatBytes } from "../core/bytes.ts";
import { decodeKey, encodeKey } from "../codec/key-codec.ts";
import type { IdType } from "../contracts/document-commands.ts";
import { RESERVED_PREFIX } from "./definition.ts";

export type DocumentId = string | number;

/** "any": the table is not defined, and the request does not say which type the id has. */
export interface ReadId {
  readonly name: string;
  readonly type: IdType | "any";
}

/** Whether the part of a key is an id of this type. -0 is a key part of its own in Deno, and no integer of JSON: it is no id. */
export function isId(part: unknown, type: ReadId["type"]): part is DocumentId {
  if (type === "any") return isId(part, "string") || isId(part, "integer");
  if (type === "integer") return Number.isSafeInteger(part) && !Object.is(part, -0);
  return typeof part === "string" && !part.startsWith(RESERVED_PREFIX);
}

/**
 * The ids of the document that has this encoded key. `prefixLength`: bytes of the key before the ids, those of app and table. null: the key
 * is not that of a document of a table with such ids.
 */
export function idsOfKey(
  key: Uint8Array,
  prefixLength: number,
  ids: readonly Pick<ReadId, "type">[],
): readonly DocumentId[] | null {
  const decoded = decodeKey(key.subarray(prefixLength));
  if (!decoded.ok || decoded.key.length !== ids.length) return null;
  const found: DocumentId[] = [];
  for (const [index, { type }] of ids.entries()) {
    const part = decoded.key[index];
    if (!isId(part, type)) return null;
    found.push(part);
  }
  return found;
}

/** The encoded key of a document. `prefix`: the encoded key of its table (`tablePrefix`). It may be longer than a key may be. */
export function keyOfIds(prefix: Uint8Array, ids: readonly DocumentId[]): Uint8Array<ArrayBuffer> {
  const encoded = encodeKey(ids);
  assert(encoded.ok, "ids to be parts of a key");
  return concatBytes([prefix, encoded.bytes]);
}
