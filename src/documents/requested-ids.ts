/**
 * The ids that requests name, `{"ids": {"orderId": "a", "line": 2}}`. Without a definition of the table the ids are in the order in which
 * they are given. With one they are in its order, and all of them must be given.
 */
import { MAX_ID_BYTES, MAX_TABLE_IDS } from "../core/document-limits.ts";
import { MAX_KEY_BYTES } from "../core/limits.ts";
import { Refused, objectOf, refuse, tooMuch } from "../codec/json-notation/members.ts";
import { described } from "../codec/json-notation/place.ts";
import { failure } from "../core/errors.ts";
import type { IdType } from "../contracts/document-commands.ts";
import { byteLength, readIdName, RESERVED_PREFIX } from "./definition.ts";
import { GENERATED_IDS, type GeneratedId, type IdGenerator } from "./generated-ids.ts";
import { type DocumentId, keyOfIds, type ReadId } from "./ids.ts";

/** Ids by their names, in the order in which they were given. Not empty. A text may be one of the reserved words. */
export type GivenIds = ReadonlyMap<string, DocumentId>;

const EXAMPLE = `{"orderId":"a"}`;

/** Reads a member with ids. `admits`: whether a text that begins with `CDB:` has a meaning here. */
export function readGivenIds(json: unknown, name: string, admits: (word: string) => boolean): GivenIds {
  const given = Object.entries(objectOf(json, name, EXAMPLE));
  if (given.length === 0) return refuse(`${name} is empty; it must name at least one id, for example ${EXAMPLE}.`);
  if (given.length > MAX_TABLE_IDS) tooMuch(`${name} has ${given.length} members; the limit is ${MAX_TABLE_IDS}.`);
  return new Map(
    given.map(([idName, value]) => {
      const id = readIdName(idName, `the name of a member of ${name}`);
      return [id, readId(value, `${name}.${id}`, admits)];
    }),
  );
}

function readId(value: unknown, where: string, admits: (word: string) => boolean): DocumentId {
  if (typeof value === "number" && Number.isSafeInteger(value)) return value === 0 ? 0 : value;
  if (typeof value !== "string") {
    return refuse(`${where} is ${described(value)}; an id is a string, or an integer from -(2^53-1) to 2^53-1.`);
  }
  if (!value.isWellFormed()) return refuse(`${where} has half of a surrogate pair, which is no character.`);
  if (value.startsWith(RESERVED_PREFIX) && !admits(value)) {
    return refuse(
      `${where} is ${described(value)}; ids that begin with ${RESERVED_PREFIX} are reserved, and this one means nothing here.`,
    );
  }
  return value;
}

/** The ids as the table defines them, in its order. `typeOfWord`: the type of an id for which a reserved word stands; null: no such word. */
export function idsInOrder(
  given: GivenIds,
  name: string,
  ids: readonly ReadId[],
  typeOfWord: (word: string) => ReadId["type"] | null,
): readonly DocumentId[] {
  const names = ids.map((id) => id.name).join(", ");
  for (const id of given.keys()) {
    if (!ids.some((defined) => defined.name === id)) {
      refuse(`${name}.${id} is no id of this table; its ids are ${names}.`);
    }
  }
  return ids.map((id) => {
    const value = given.get(id.name);
    if (value === undefined) return refuse(`${name}.${id.name} is missing; the ids of this table are ${names}.`);
    const type = typeOf(value, typeOfWord);
    if (id.type === "any" || type === "any" || type === id.type) return value;
    throw new Refused(
      failure(
        "type-mismatch",
        `${name}.${id.name} is ${described(value)}; in this table it is ${id.type === "string" ? "a string" : "an integer"}.`,
      ),
    );
  });
}

/** The ids of a table that nobody has defined: in the order in which they are given. */
export function inferredIds(
  given: GivenIds,
  typeOfWord: (word: string) => IdType | null,
): readonly { readonly name: string; readonly type: IdType }[] {
  return [...given].map(([name, value]) => ({ name, type: typeOf(value, typeOfWord) }));
}

function typeOf<Word>(value: DocumentId, typeOfWord: (word: string) => Word | null): IdType | Word {
  if (typeof value === "number") return "integer";
  return (value.startsWith(RESERVED_PREFIX) ? typeOfWord(value) : null) ?? "string";
}

export function isGeneratedId(word: string): word is GeneratedId {
  return GENERATED_IDS.has(word);
}

/** The type that a generated id has. */
export function typeOfGenerated(word: string): IdType | null {
  return GENERATED_IDS.get(word) ?? null;
}

/** The ids with those that the database makes. */
export function withGenerated(ids: readonly DocumentId[], generator: IdGenerator): readonly DocumentId[] {
  return ids.map((id) => (typeof id === "string" && isGeneratedId(id) ? generator.make(id) : id));
}

/** No words have a meaning where an existing document is named. */
export function noWords(): null {
  return null;
}

/** The encoded key of the document with these ids. Refuses ids that no key can have. */
export function keyOfNamed(prefix: Uint8Array, ids: readonly DocumentId[]): Uint8Array<ArrayBuffer> {
  const key = keyOfIds(prefix, ids);
  if (key.length <= MAX_KEY_BYTES) return key;
  return tooMuch(`appId, tableId and ids make a key of ${key.length} bytes; the limit is ${MAX_KEY_BYTES}.`);
}

/** Refuses string ids that are too long for a new document. */
export function checkNewIds(definitions: readonly Pick<ReadId, "name">[], ids: readonly DocumentId[]): void {
  for (const [index, id] of ids.entries()) {
    if (typeof id !== "string" || byteLength(id) <= MAX_ID_BYTES) continue;
    tooMuch(`ids.${definitions[index]?.name ?? ""} has ${byteLength(id)} bytes; the limit is ${MAX_ID_BYTES}.`);
  }
}
