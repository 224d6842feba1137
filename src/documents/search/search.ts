/**
 * The action `search`: reads the request, finds the rows, writes the answer. The indexes that it uses may be replaced between two of its
 * steps; then it begins anew.
 */
import { MAX_DOCUMENT_ANSWER_CHARACTERS } from "../../core/document-limits.ts";
import { failure, type Failure } from "../../core/errors.ts";
import {
  DEFAULT_SEARCH_ROWS,
  MAX_HIGHLIGHT_CHARS,
  MAX_SEARCH_ROWS,
  MAX_SEARCH_SKIP,
} from "../../core/search-limits.ts";
import type { Sql } from "../../core/storage.ts";
import { JsonBytes } from "../../codec/json-bytes.ts";
import { flagOf, refuse, Refused } from "../../codec/json-notation/members.ts";
import type { JsonObject } from "../../codec/json-notation/types.ts";
import type { TableName } from "../definition.ts";
import type { DocumentTable, TableState } from "../index/registry.ts";
import { DocumentReader } from "./documents.ts";
import { type GroupRequest, Groups, readGroupBy } from "./groups.ts";
import { type Highlight, highlighted, readHighlight } from "./highlight.ts";
import { decodeNextToken, encodeNextToken, fits, notOurs } from "./next-token.ts";
import { jsonOfSorters, type Ranked, readSorters, type Sorter } from "./order.ts";
import { countIn, type Query, readQuerys } from "./query.ts";
import { type Expiry, type FoundRow, Run } from "./run.ts";
import { checkColumn, checkIndexed, typesOf } from "./sources.ts";
import { COST, Steps } from "./steps.ts";
import { readSuggest, type SuggestRequest, suggestions } from "./suggestions.ts";

export interface SearchParts extends Expiry {
  readonly sql: Sql;
  /** null: nothing defines the table. */
  readonly table: (name: TableName) => TableState | null;
  /** Lets everything else run that waits for its turn, after so many microseconds of work. */
  readonly pause: (microseconds: number) => Promise<void>;
  /** Called at the end with the work since the last pause. */
  readonly ended: (microseconds: number) => void;
}

export type SearchAnswer = { readonly ok: true; readonly json: string } | Failure;

interface SearchRequest {
  readonly query: Query;
  readonly sorters: readonly Sorter[];
  /** As JSON, for the next page. */
  readonly sortersJson: unknown;
  readonly asked: unknown;
  readonly after: Ranked | null;
  readonly skip: number;
  readonly limit: number;
  readonly withTotal: boolean;
  readonly groupBy: GroupRequest | null;
  readonly suggest: SuggestRequest | null;
  readonly highlight: Highlight | null;
}

/** How often a search begins anew because its indexes were replaced. */
const MAX_ATTEMPTS = 3;

class Replaced extends Error {}

/** `json`: the request, with all its members. `only`: the columns of `getColumns`; null: all. */
export async function search(
  name: TableName,
  json: JsonObject,
  only: ReadonlySet<string> | null,
  parts: SearchParts,
): Promise<SearchAnswer> {
  try {
    const request = readRequest(name, json, only);
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      const answer = await attempted(name, request, only, parts);
      if (answer !== null) return answer;
    }
    return failure(
      "unavailable",
      "The indexes of the table were replaced again and again during this search: ask again.",
    );
  } catch (error) {
    if (error instanceof Refused) return error.why;
    throw error;
  }
}

function readRequest(name: TableName, json: JsonObject, only: ReadonlySet<string> | null): SearchRequest {
  const query = readQuerys(json["querys"]);
  const asked = [name.appId, name.tableId, json["querys"] ?? []];
  const { nextToken } = json;
  const place = nextToken === undefined || nextToken === null ? null : decodeNextToken(asked, nextToken);
  const given = json["sorters"] ?? place?.sorters ?? null;
  const sorters = readSorters(given);
  if (place !== null && JSON.stringify(readSorters(place.sorters)) !== JSON.stringify(sorters)) {
    refuse("sorters are others than those of the search that nextToken came from: leave them out, or send the same.");
  }
  if (place !== null && !fits(sorters, place.after)) notOurs();
  const skip = countIn(json, "", "skip", 0, MAX_SEARCH_SKIP);
  if (place !== null && skip > 0)
    refuse("skip and nextToken exclude each other: nextToken goes on after the last row.");
  for (const sorter of sorters) {
    if (!("column" in sorter) || only === null || only.has(sorter.column)) continue;
    refuse(`${sorter.where} names ${JSON.stringify(sorter.column)}, which is not among getColumns: add it there.`);
  }
  return {
    query,
    sorters,
    sortersJson: jsonOfSorters(sorters, given),
    asked,
    after: place?.after ?? null,
    skip,
    limit: countIn(json, "", "rowsLimit", DEFAULT_SEARCH_ROWS, MAX_SEARCH_ROWS),
    withTotal: flagOf(json, "The request", "getTotalCount"),
    groupBy: readGroupBy(json["groupBy"]),
    suggest: readSuggest(json["suggest"]),
    highlight: readHighlight(json["highlight"]),
  };
}

/** null: the indexes were replaced meanwhile. */
async function attempted(
  name: TableName,
  request: SearchRequest,
  only: ReadonlySet<string> | null,
  parts: SearchParts,
): Promise<SearchAnswer | null> {
  const table = liveTable(name, parts);
  const steps = new Steps(
    (microseconds) => parts.pause(microseconds),
    () => {
      if (parts.table(name)?.live?.id !== table.id) throw new Replaced();
    },
  );
  try {
    return await answered(request, table, only, parts, steps);
  } catch (error) {
    if (error instanceof Replaced) return null;
    throw error;
  } finally {
    parts.ended(steps.spent);
  }
}

function liveTable(name: TableName, parts: SearchParts): DocumentTable {
  const state = parts.table(name);
  const shown = `${JSON.stringify(name.tableId)} of app ${JSON.stringify(name.appId)}`;
  if (state === null) {
    throw new Refused(
      failure(
        "not-found",
        `The table ${shown} does not exist: its first create makes it, or PUT /api/databases/{id}/tables/${name.appId}/${name.tableId}.`,
      ),
    );
  }
  if (state.live !== null) return state.live;
  const { done = 0, total = null } = state.building ?? {};
  throw new Refused(
    failure(
      "unavailable",
      `The index of the table ${shown} is being built and can be searched when it is whole: ${done}${total === null ? "" : ` of ${total}`} entries are done.`,
    ),
  );
}

async function answered(
  request: SearchRequest,
  table: DocumentTable,
  only: ReadonlySet<string> | null,
  { sql, now, mayHaveExpired }: SearchParts,
  steps: Steps,
): Promise<SearchAnswer> {
  const { query, sorters, after, skip, limit, withTotal, groupBy, suggest } = request;
  // A single query is checked where it is answered.
  if (query.type === "bool") checkIndexed(query, table);
  for (const sorter of sorters) checkSorter(sorter, table);
  const groups = groupBy === null ? null : new Groups(groupBy, table);
  const run = new Run(
    sql,
    table,
    steps,
    { now, mayHaveExpired },
    { query, sorters, after, skip, limit, withTotal, groups },
  );
  const { rows, hasMore, total } = await run.found();
  const members = [];
  const { texts, last } = await textsOfRows(run, rows, request, only, steps);
  const isCut = last !== rows.at(-1);
  members.push(`"data":[${texts}]`);
  if (last !== undefined && (hasMore || isCut)) {
    const place = { sorters: request.sortersJson, after: { values: last.values, ids: last.ids } };
    members.push(`"nextToken":"${encodeNextToken(request.asked, place)}"`);
  }
  if (withTotal && total !== undefined) members.push(`"totalCounts":${total}`);
  if (groups !== null) members.push(`"groups":${JSON.stringify(groups.results())}`);
  if (suggest !== null) {
    const reader = new DocumentReader(sql, table, steps, now);
    const found = await suggestions(sql, table, suggest, reader, steps);
    members.push(`"suggestions":${JSON.stringify(found)}`);
  }
  return { ok: true, json: `{${members.join(",")}}` };
}

function checkSorter(sorter: Sorter, table: DocumentTable): void {
  if (sorter.type === "distance") {
    checkColumn(table, sorter.column, sorter.where, typesOf(table, sorter.column), ["geo"]);
  } else if (sorter.type === "column") {
    const types = typesOf(table, sorter.column);
    checkColumn(table, sorter.column, sorter.where, types, types === null ? [] : ["keyword", "number", "boolean"]);
  }
}

/** As many rows as the answer has room for, at least one. `last`: the last row that is in the answer or left out of it. */
async function textsOfRows(
  run: Run,
  rows: readonly FoundRow[],
  { highlight, query }: SearchRequest,
  only: ReadonlySet<string> | null,
  steps: Steps,
): Promise<{ readonly texts: string; readonly last: FoundRow | undefined }> {
  const json = new JsonBytes(ROOM_PER_ROW * rows.length);
  let last = rows.at(-1);
  let shown: FoundRow | undefined;
  await run.read(rows, (row, document) => {
    const start = json.length;
    if (shown !== undefined) json.ascii(",");
    document.writeTo(json, only);
    if (highlight !== null) {
      const marked = JSON.stringify(highlighted(highlight, query, document.columns));
      json.text(`,"highlight":${marked}`);
      steps.spend(highlight.columns.length * Math.min(document.value.length, MAX_HIGHLIGHT_CHARS) * COST.byteOfText);
    }
    json.ascii("}");
    if (shown !== undefined && json.length > MAX_DOCUMENT_ANSWER_CHARACTERS) {
      json.length = start;
      last = shown;
      return false;
    }
    shown = row;
    return true;
  });
  return { texts: json.toString(), last };
}

/** A short document in JSON, in bytes. */
const ROOM_PER_ROW = 256;
