/**
 * `nextToken`: where the next page of a search begins. It holds the order and the place of the last row, and a hash of what was asked, so
 * that it serves no other query. Its parts are bounded, and so is the token: `MAX_NEXT_TOKEN_CHARS`. It is no secret and proves nothing: a forged one is read as strictly as a request, and at worst shows
 * another place of rows that its sender may search.
 */
import { assert } from "../../core/assert.ts";
import { MAX_NEXT_TOKEN_CHARS } from "../../core/search-limits.ts";
import { refuse, tooMuch } from "../../codec/json-notation/members.ts";
import { described } from "../../codec/json-notation/place.ts";
import { fromBase64Url, toBase64Url } from "../../codec/base64url.ts";
import { isObject, type JsonObject } from "../../codec/json-notation/types.ts";
import type { Ranked, Sorter, SortValue } from "./order.ts";

const VERSION = 1;

export interface NextPlace {
  /** From `jsonOfSorters`. */
  readonly sorters: unknown;
  readonly after: Ranked;
}

const utf8 = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** `asked`: whatever must be the same for the next page. */
export function encodeNextToken(asked: unknown, { sorters, after }: NextPlace): string {
  const values = after.values.map((value) => (typeof value === "number" ? { n: String(value) } : value));
  const token = { v: VERSION, q: hashOf(asked), s: sorters ?? null, a: values, i: toBase64Url(after.ids) };
  const text = toBase64Url(utf8.encode(JSON.stringify(token)));
  assert(text.length <= MAX_NEXT_TOKEN_CHARS, "a nextToken that a search takes");
  return text;
}

/** Refuses a token that this function did not make, or that was made for something else. */
export function decodeNextToken(asked: unknown, given: unknown): NextPlace {
  if (typeof given !== "string")
    return refuse(`nextToken is ${described(given)}; it must be the nextToken of an answer.`);
  if (given.length > MAX_NEXT_TOKEN_CHARS) {
    return tooMuch(`nextToken has ${given.length} characters; the limit is ${MAX_NEXT_TOKEN_CHARS}.`);
  }
  const token = parsed(given);
  if (!isObject(token) || token["v"] !== VERSION) return notOurs();
  const { q, s, a, i } = token;
  const ids = typeof i === "string" ? fromBase64Url(i) : undefined;
  if (typeof q !== "string" || ids === undefined || !Array.isArray(a)) return notOurs();
  if (q !== hashOf(asked)) {
    return refuse(
      "nextToken was made for another search: send it with the querys, appId and tableId that it came from.",
    );
  }
  return { sorters: s, after: { values: a.map(valueOf), ids } };
}

/** Whether the place has a value of the right kind for each sorter. */
export function fits(sorters: readonly Sorter[], { values }: Ranked): boolean {
  return (
    values.length === sorters.length &&
    sorters.every(({ type }, index) => {
      const value = values[index];
      if (type === "ids") return value === null;
      return type === "column" || value === null || typeof value === "number";
    })
  );
}

export function notOurs(): never {
  return refuse("nextToken is not one that a search has returned; leave it out to begin with the first page.");
}

function parsed(token: string): unknown {
  const bytes = fromBase64Url(token);
  if (bytes === undefined) return undefined;
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch {
    return undefined;
  }
}

/** Numbers are texts in the token, because JSON has no infinity. */
function valueOf(value: unknown): SortValue {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  const text = isObject(value) ? value["n"] : undefined;
  const number = typeof text === "string" && text !== "" ? Number(text) : Number.NaN;
  return Number.isNaN(number) ? notOurs() : number;
}

/** FNV-1a over the JSON, twice with different starts: 64 bits. Many languages write the members of an object in any order. */
function hashOf(value: unknown): string {
  const text = JSON.stringify(value, (_, one: unknown) => (isObject(one) ? inOrderOfNames(one) : one));
  let one = 0x811c9dc5;
  let other = 0x9747b28c;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    one = Math.imul(one ^ unit, 0x01000193);
    other = Math.imul(other ^ unit, 0x01000193) + i;
  }
  return `${(one >>> 0).toString(36)}.${(other >>> 0).toString(36)}`;
}

function inOrderOfNames(object: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(object).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
