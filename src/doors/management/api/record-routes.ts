/** The routes of TTL records (`doors/records/`) as the OpenAPI document describes them. A test compares them with what the door takes. */
import { type Described, json, ref } from "./described-route.ts";

const KEY_IN_QUERY = { key: "The key, instead of the path: for `.` and `..`, which a path loses." };
const NAMESPACE = { namespace: "The namespace of the record. Without it: the records of no namespace." };
const ONE = { ...KEY_IN_QUERY, ...NAMESPACE };

const RECORDS = ["A member for each record that there is.", json(ref("Records"))] as const;
const WRITTEN = ["Done.", json({ type: "object", maxProperties: 0 })] as const;

const minutesToExpire = {
  type: ["number", "null"],
  exclusiveMinimum: 0,
  default: 1440,
  description: "Minutes after which the record expires; null: never.",
};
const value = { type: "object", description: "Any JSON object." };

const getRecord = { summary: "Get a record", query: ONE, responses: { 200: RECORDS } };
const putRecord = {
  summary: "Write a record",
  query: ONE,
  body: {
    description: "The record. `ifAbsent` writes only where there is none.",
    content: json({
      type: "object",
      required: ["value"],
      properties: { value, minutesToExpire, ifAbsent: { type: "boolean" } },
    }),
  },
  responses: { 200: WRITTEN, 409: ["There is a record already, and `ifAbsent` is true."] },
} satisfies Described;
const deleteRecord = { summary: "Delete a record", query: ONE, responses: { 200: WRITTEN } } satisfies Described;

const checkAndWrite = {
  summary: "Write a record if there is none, or if its age fulfils a condition",
  query: ONE,
  body: {
    description: "It writes when `created_at` `operator` `unixtimeMs` holds.",
    content: json({
      type: "object",
      required: ["value", "operator", "unixtimeMs"],
      properties: {
        value,
        operator: { enum: ["=", "<", "<=", ">", ">="] },
        unixtimeMs: { type: "number" },
        minutesToExpire,
      },
    }),
  },
  responses: {
    200: WRITTEN,
    404: ["The condition does not hold, or there is no such database."],
    409: ["The key was written while the request was waiting for its turn."],
  },
} satisfies Described;

/** By what follows `/api/databases/{databaseId}/`, then by the method. */
export const RECORD_ROUTES: Readonly<Record<string, Readonly<Record<string, Described>>>> = {
  "records/{key}": { get: getRecord, put: putRecord, delete: deleteRecord },
  "records/{key}:checkAndWrite": { post: checkAndWrite },
  records: {
    get: {
      summary: "List records, or get the one that `key` names",
      query: {
        ...ONE,
        startKey: "From this key on.",
        stopKey: "To before this key.",
        startCursor: "The `endCursor` of the page before.",
        pageSize: "From 1 to 1000; 30 without it.",
      },
      responses: { 200: ["A page.", json(ref("RecordPage"))] },
    },
    put: putRecord,
    delete: deleteRecord,
  },
  "records:get": {
    post: {
      summary: "Get up to 100 records from one snapshot",
      query: NAMESPACE,
      body: {
        description: "The keys.",
        content: json({
          type: "object",
          required: ["keys"],
          properties: { keys: { type: "array", maxItems: 100, items: { type: "string" } } },
        }),
      },
      responses: { 200: RECORDS },
    },
  },
  "records:checkAndWrite": { post: checkAndWrite },
  "records:clear": {
    post: {
      summary: "Delete the records of a namespace, up to some 10,000 at a time",
      query: { ...NAMESPACE, startCursor: "The `endCursor` of the answer before." },
      responses: {
        200: [
          "How many were deleted, and whether there are more.",
          json({ type: "object", properties: { deleted: { type: "integer" }, ...pageEnd() } }),
        ],
      },
    },
  },
};

export const RECORD_SCHEMAS = {
  Records: {
    type: "object",
    description: "Records by their keys.",
    additionalProperties: {
      type: "object",
      required: ["value", "created_at", "expired_at"],
      properties: {
        value: {},
        created_at: { type: "string", format: "date-time" },
        expired_at: { type: ["string", "null"], format: "date-time" },
      },
    },
  },
  RecordPage: {
    type: "object",
    required: ["item", "isMoreResults", "endCursor"],
    properties: { item: ref("Records"), ...pageEnd() },
  },
} as const;

function pageEnd() {
  return { isMoreResults: { type: "boolean" }, endCursor: { type: ["string", "null"] } };
}
