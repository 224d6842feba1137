/** The routes of TTL records (`doors/records/`) as the OpenAPI document describes them. A test compares them with what the door takes. */
import { AT, type Described, json, ref } from "./described-route.ts";

const KEY_IN_QUERY = {
  key: "The key, when it is not in the path. The keys `.` and `..` must be given like this, because a path loses them.",
};
const NAMESPACE = { namespace: "The namespace of the record. When it is not given, the records without a namespace." };
const ONE = { ...KEY_IN_QUERY, ...NAMESPACE };

const RECORDS = ["One member for each record that exists.", json(ref("Records"))] as const;
const WRITTEN = ["The write is done.", json({ type: "object", maxProperties: 0 })] as const;

const minutesToExpire = {
  type: ["number", "null"],
  exclusiveMinimum: 0,
  default: 1440,
  description: "Minutes after which the record expires. null: it never expires.",
};
const value = { type: "object", description: "Any JSON object." };

const getRecord = { summary: "Get a record", query: { ...ONE, ...AT }, responses: { 200: RECORDS } };
const putRecord = {
  summary: "Write a record",
  query: ONE,
  body: {
    description: "The record. With `ifAbsent`, it is written only if there is no record with this key.",
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
    description: "The record is written if `created_at` `operator` `unixtimeMs` holds, or if there is no record.",
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

/** The keys are what follows `/api/databases/{databaseId}/`, then the method. */
export const RECORD_ROUTES: Readonly<Record<string, Readonly<Record<string, Described>>>> = {
  "records/{key}": { get: getRecord, put: putRecord, delete: deleteRecord },
  "records/{key}:checkAndWrite": { post: checkAndWrite },
  records: {
    get: {
      summary: "List records, or get the record that `key` names",
      query: {
        ...ONE,
        ...AT,
        startKey: "The first key of the range.",
        stopKey: "The key before which the range ends.",
        startCursor: "The `endCursor` of the page before.",
        pageSize: "From 1 to 1000, and 30 when it is not given.",
      },
      responses: { 200: ["A page.", json(ref("RecordPage"))] },
    },
    put: putRecord,
    delete: deleteRecord,
  },
  "records:get": {
    post: {
      summary: "Get up to 100 records from one snapshot",
      query: { ...NAMESPACE, ...AT },
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
      summary: "Delete the records of a namespace, about 10,000 in one request",
      query: { ...NAMESPACE, startCursor: "The `endCursor` of the answer before." },
      responses: {
        200: [
          "How many records were deleted, and whether there are more.",
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
