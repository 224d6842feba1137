/** `highlight`: fragments of text columns in which the words that a query has found are marked. The text itself is not escaped. */
import {
  MAX_FRAGMENT_CHARS,
  MAX_FRAGMENTS,
  MAX_HIGHLIGHT_CHARS,
  MAX_HIGHLIGHT_COLUMNS,
  MAX_TAG_CHARS,
} from "../../core/search-limits.ts";
import { atMost, objectOf, refuse, tooMuch } from "../../codec/json-notation/members.ts";
import { described } from "../../codec/json-notation/place.ts";
import type { JsonObject } from "../../codec/json-notation/types.ts";
import type { Columns } from "../document.ts";
import { readColumnName } from "../definition.ts";
import { isCjk } from "../text/cut.ts";
import { type Piece, piecesOf } from "../text/pieces.ts";
import type { Leaf, Query } from "./query.ts";

export interface Highlight {
  readonly columns: readonly string[];
  readonly before: string;
  readonly after: string;
  readonly fragments: number;
  readonly fragmentChars: number;
}

const EXAMPLE = `{"columns":["title"],"preTag":"<em>","postTag":"</em>"}`;

/** Reads `highlight`. null: it is not asked for. */
export function readHighlight(json: unknown): Highlight | null {
  if (json === undefined || json === null) return null;
  const given = objectOf(json, "highlight", EXAMPLE);
  const columns = atMost(MAX_HIGHLIGHT_COLUMNS, given["columns"], "highlight.columns");
  return {
    columns: [...new Set(columns.map((one, index) => readColumnName(one, `highlight.columns[${index}]`)))],
    before: tagIn(given, "preTag", "<em>"),
    after: tagIn(given, "postTag", "</em>"),
    fragments: numberIn(given, "fragments", 3, 1, MAX_FRAGMENTS),
    fragmentChars: numberIn(given, "fragmentSize", 100, 20, MAX_FRAGMENT_CHARS),
  };
}

function tagIn(given: JsonObject, member: string, usual: string): string {
  const tag = given[member] ?? usual;
  if (typeof tag !== "string") return refuse(`highlight.${member} is ${described(tag)}; it must be a string.`);
  if (tag.length <= MAX_TAG_CHARS) return tag;
  return tooMuch(`highlight.${member} has ${tag.length} characters; the limit is ${MAX_TAG_CHARS}.`);
}

function numberIn(given: JsonObject, member: string, usual: number, least: number, most: number): number {
  const value = given[member] ?? usual;
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
  return refuse(`highlight.${member} is ${described(value)}; it must be an integer from ${least} to ${most}.`);
}

/** Marked fragments of the columns that have any. */
export function highlighted(highlight: Highlight, query: Query, columns: Columns): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const column of highlight.columns) {
    const leaves = textLeaves(query, column);
    const value = columns[column];
    const texts: unknown[] = Array.isArray(value) ? value : [value];
    const fragments: string[] = [];
    let chars = 0;
    for (const text of texts) {
      if (typeof text !== "string" || leaves.length === 0) continue;
      const looked = text.slice(0, MAX_HIGHLIGHT_CHARS - chars);
      chars += looked.length;
      fragments.push(...fragmentsOf(looked, marksIn(piecesOf(looked), leaves), highlight));
      if (fragments.length >= highlight.fragments || chars >= MAX_HIGHLIGHT_CHARS) break;
    }
    if (fragments.length > 0) found[column] = fragments.slice(0, highlight.fragments);
  }
  return found;
}

/** The queries for texts that a row may have met, those of `mustNot` excluded. */
function textLeaves(query: Query, column: string): Leaf[] {
  if (query.type === "all") return [];
  if (query.type === "bool") return [...query.must, ...query.should].flatMap((one) => textLeaves(one, column));
  const isOfText = query.type === "match" || query.type === "phrase" || query.type === "prefix";
  return isOfText && query.column === column ? [query] : [];
}

interface Mark {
  readonly start: number;
  readonly end: number;
}

function marksIn(pieces: readonly Piece[], leaves: readonly Leaf[]): Mark[] {
  const isMarked = new Set<number>();
  for (const leaf of leaves) {
    if (leaf.type === "match") {
      const words = new Set(leaf.words.flat());
      for (const [index, { tokens }] of pieces.entries()) if (tokens.some((one) => words.has(one))) isMarked.add(index);
    } else if (leaf.type === "phrase" || leaf.type === "prefix") {
      markPhrases(pieces, leaf.tokens, leaf.type === "prefix", isMarked);
    }
  }
  const marks: Mark[] = [];
  for (const [index, { start, end }] of pieces.entries()) {
    if (!isMarked.has(index)) continue;
    const last = marks.at(-1);
    // Characters beside each other are marked together.
    if (last?.end === start) marks[marks.length - 1] = { start: last.start, end };
    else marks.push({ start, end });
  }
  return marks;
}

function markPhrases(pieces: readonly Piece[], wanted: readonly string[], isOpen: boolean, marked: Set<number>): void {
  const tokens = pieces.flatMap(({ tokens: some }, piece) => some.map((token) => ({ token, piece })));
  const last = wanted.length - 1;
  if (last < 0) return;
  for (let at = 0; at + last < tokens.length; at += 1) {
    const fits = wanted.every((one, index) => {
      const token = tokens[at + index]?.token ?? "";
      return token === one || (isOpen && index === last && !isCjk(one) && token.startsWith(one));
    });
    if (fits) for (const { piece } of tokens.slice(at, at + wanted.length)) marked.add(piece);
  }
}

/** The text around the marks, in pieces of at most so many characters, tags not counted. */
function fragmentsOf(text: string, marks: readonly Mark[], highlight: Highlight): string[] {
  const { fragmentChars, fragments, before, after } = highlight;
  const found: string[] = [];
  let end = 0;
  for (let next = 0; next < marks.length && found.length < fragments;) {
    const mark = marks[next];
    if (mark === undefined) break;
    const start = whole(text, Math.max(end, mark.start - Math.floor(fragmentChars / 4)));
    end = whole(text, Math.min(text.length, Math.max(start + fragmentChars, start + 1)));
    let fragment = "";
    let at = start;
    for (; next < marks.length; next += 1) {
      const { start: from, end: to } = marks[next] ?? mark;
      if (from >= end) break;
      const until = Math.min(to, end);
      fragment += `${text.slice(at, from)}${before}${text.slice(from, until)}${after}`;
      at = until;
    }
    found.push(fragment + text.slice(at, end));
  }
  return found;
}

/** The place, or the one before it where the place is inside a character. */
function whole(text: string, at: number): number {
  return (text.codePointAt(at - 1) ?? 0) > 0xffff ? at - 1 : at;
}
