/** The routes of documents (`doors/documents/`) as the OpenAPI document describes them. A test compares them with what the door takes. */
import { AT, type Described, json, ref } from "./described-route.ts";

const TABLE = ["The table, and how far its indexes are.", json(ref("DocumentTable"))] as const;
const NO_TABLE = ["There is no such table, or no such database."] as const;
const ids = { type: "object", description: "The ids by their names, all of them.", additionalProperties: {} };
const columns = { type: "object", description: "The columns by their names." };
const name = { type: "string" };
const count = { type: "integer" };
const getColumns = { type: "array", items: { type: "string" } };
const condition = {
  type: "object",
  description: "What must hold, or nothing is written.",
  properties: {
    type: { enum: ["ignore", "exist", "notExist"], default: "ignore" },
    conditionList: { type: "array", maxItems: 10, items: ref("DocumentComparison") },
    conditionLogical: { enum: ["and", "or", "not"] },
  },
};
const CONDITION_FAILED = ["The condition does not hold. Nothing was written."] as const;

interface ActionBody {
  readonly required: readonly string[];
  readonly properties: Readonly<Record<string, unknown>>;
}

function acting(
  summary: string,
  body: ActionBody,
  answer: string,
  more: Pick<Described, "query"> & { readonly failed?: readonly [string] } = {},
) {
  const { query, failed } = more;
  return {
    post: {
      summary,
      ...(query && { query }),
      body: { description: "The members of the action.", content: json({ type: "object", ...body }) },
      responses: { 200: [answer, json({})], ...(failed && { 412: failed }) },
    },
  } satisfies Record<string, Described>;
}

/** The keys are what follows `/api/databases/{databaseId}/`, then the method. */
export const DOCUMENT_ROUTES: Readonly<Record<string, Readonly<Record<string, Described>>>> = {
  tables: {
    get: {
      summary: "List tables of documents",
      query: {
        app: "Only the tables of this app.",
        limit: "From 1 to 100, and 20 when it is not given.",
        cursor: "The `next` of the page before.",
        ...AT,
      },
      responses: {
        200: [
          "A page.",
          json({
            type: "object",
            required: ["items"],
            properties: { items: { type: "array", items: ref("DocumentTable") }, next: { type: "string" } },
          }),
        ],
      },
    },
  },
  "tables:batch": {
    post: {
      summary: "Carry out up to 100 actions on documents",
      body: {
        description: "The requests, each as it would be sent to `POST /cdb`.",
        content: json({
          type: "object",
          required: ["requests"],
          properties: {
            requests: { type: "array", maxItems: 100, items: { type: "object" } },
            atomic: { type: "boolean", description: "All are carried out, or none." },
          },
        }),
      },
      responses: { 200: ["The answers in order; a failure is a problem.", json({ type: "array", items: {} })] },
    },
  },
  "tables/{app}/{table}": {
    get: { summary: "Get a table's definition", query: AT, responses: { 200: TABLE, 404: NO_TABLE } },
    put: {
      summary: "Define a table, or change what is indexed",
      body: { description: "The definition.", content: json(ref("DocumentDefinition")) },
      responses: { 200: TABLE, 201: TABLE },
    },
    delete: {
      summary: "Delete a table's definition and indexes; its documents stay",
      responses: { 204: ["It is deleted."], 404: NO_TABLE },
    },
  },
  "tables/{app}/{table}:get": acting(
    "Get a document",
    { required: ["ids"], properties: { ids, getColumns } },
    "The document, or null.",
    { query: AT },
  ),
  "tables/{app}/{table}:getMany": acting(
    "List documents between two ids",
    {
      required: ["ids", "endIds"],
      properties: {
        ids,
        endIds: ids,
        orderType: { enum: ["asc", "desc"], default: "desc" },
        rowsLimit: { type: "integer", minimum: 1, maximum: 5000, default: 100 },
        filter: { type: "object" },
        getColumns,
      },
    },
    "A page.",
    { query: AT },
  ),
  "tables/{app}/{table}:create": acting(
    "Write a document",
    { required: ["ids", "columns"], properties: { ids, columns, condition } },
    "Its ids.",
    { failed: CONDITION_FAILED },
  ),
  "tables/{app}/{table}:update": acting(
    "Change columns of a document, or add to them",
    { required: ["ids", "columns"], properties: { ids, columns, condition, updateType: { enum: ["increment"] } } },
    "Its ids; the results, where columns were incremented.",
    { failed: CONDITION_FAILED },
  ),
  "tables/{app}/{table}:delete": acting(
    "Delete a document",
    { required: ["ids"], properties: { ids, condition } },
    "It is deleted.",
    { failed: CONDITION_FAILED },
  ),
  "tables/{app}/{table}:search": acting(
    "Search documents",
    {
      required: [],
      properties: {
        querys: { type: "array", items: { type: "object" } },
        sorters: { type: "array", items: { type: "object" } },
        rowsLimit: { type: "integer", minimum: 0, maximum: 100, default: 20 },
        skip: { type: "integer", minimum: 0, maximum: 5000 },
        nextToken: { type: "string" },
        getTotalCount: { type: "boolean" },
        getColumns,
        highlight: {
          type: "object",
          required: ["columns"],
          properties: { columns: getColumns, preTag: name, postTag: name, fragments: count, fragmentSize: count },
        },
        groupBy: {
          type: "object",
          required: ["column"],
          properties: { column: name, min: getColumns, max: getColumns, sum: getColumns, avg: getColumns },
        },
        suggest: {
          type: "object",
          required: ["column", "prefix"],
          properties: { column: name, prefix: name, limit: count },
        },
      },
    },
    "A page.",
  ),
};

export const DOCUMENT_SCHEMAS = {
  DocumentComparison: {
    type: "object",
    required: ["column", "symbol", "value"],
    properties: { column: name, symbol: { enum: ["=", "!=", ">", ">=", "<", "<="] }, value: {} },
  },
  DocumentDefinition: {
    type: "object",
    required: ["ids"],
    properties: {
      ids: {
        type: "array",
        minItems: 1,
        items: {
          type: "object",
          required: ["name", "type"],
          properties: { name, type: { enum: ["string", "integer"] } },
        },
      },
      columns: {
        type: "array",
        items: {
          type: "object",
          required: ["name", "type"],
          properties: {
            name,
            type: { enum: ["keyword", "text", "integer", "number", "boolean", "geo", "nested"] },
            indexed: { type: "boolean" },
          },
        },
      },
    },
  },
  DocumentTable: {
    type: "object",
    required: ["appId", "tableId", "ids", "columns", "inferred", "index"],
    properties: {
      appId: name,
      tableId: name,
      ids: { type: "array", items: { type: "object" } },
      columns: {
        type: ["array", "null"],
        items: { type: "object" },
        description: "null: columns are mapped as they come.",
      },
      inferred: { type: "boolean", description: "Whether the first document defined the table." },
      index: {
        type: ["object", "null"],
        properties: {
          state: { enum: ["live", "building"] },
          done: { type: "integer" },
          total: { type: "integer" },
          skipped: { type: "integer", description: "Entries under the table that are no documents." },
        },
      },
    },
  },
} as const;
