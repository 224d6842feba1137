/**
 * The routes of plain HTTP (`doors/rest/`) as the OpenAPI document describes them, and with them those of records (`record-routes.ts`), of
 * documents (`document-routes.ts`) and of archives (`archive-routes.ts`).
 * These doors are data paths and have no schemas, so the descriptions are written by hand. A test compares them with what the doors take.
 */
import { ARCHIVE_ROUTES, ARCHIVE_SCHEMAS } from "./archive-routes.ts";
import { AT, type Described, json, ref } from "./described-route.ts";
import { DOCUMENT_ROUTES, DOCUMENT_SCHEMAS } from "./document-routes.ts";
import { RECORD_ROUTES, RECORD_SCHEMAS } from "./record-routes.ts";

const lines = (description: string) => ({ "application/x-ndjson": { schema: { type: "string", description } } });
const events = { "text/event-stream": { schema: { type: "string" } } };
const bytes = { "application/octet-stream": { schema: { type: "string", format: "binary" } } };

const KEY_IN_QUERY = { key: 'The key as JSON, like ["users",1], instead of the path.' };
const VALUES = { values: "`plain`: values are plain JSON where nothing is lost. Otherwise they are in the notation." };
const SELECTOR = {
  prefix: "Only keys that begin with these parts, as JSON.",
  start: "From this key on, as JSON.",
  end: "To before this key, as JSON.",
};
const CONDITIONS = {
  "If-Match": "Versionstamps in quotes, or *: the entry must be one of these.",
  "If-None-Match": "Versionstamps in quotes, or *: the entry must be none of these.",
};
const ENTRY = [
  "The entry. `ETag` and `Cairn-Versionstamp` have its versionstamp, `Cairn-Expires-At` its expiry.",
  { ...json(ref("Entry")), ...bytes },
] as const;
const COMMIT = ["The commit.", json(ref("Commit"))] as const;
const FAILED = ["The condition does not hold; `versionstamp` is the entry's."] as const;

const oneEntry = {
  get: {
    summary: "Get an entry",
    query: { ...KEY_IN_QUERY, ...VALUES, ...AT },
    headers: { ...CONDITIONS, Accept: "`application/octet-stream`: the bytes of a Uint8Array." },
    responses: { 200: ENTRY, 304: ["Not modified."], 404: ["There is no entry."], 412: FAILED },
  },
  put: {
    summary: "Set an entry",
    query: { ...KEY_IN_QUERY, ...VALUES, expireIn: "Milliseconds after which the entry expires." },
    headers: { ...CONDITIONS, "Cairn-Expires-At": "When the entry expires, in RFC 3339 or milliseconds since 1970." },
    body: { description: "The value.", content: { ...json({ description: "A value in the notation." }), ...bytes } },
    responses: { 200: COMMIT, 412: FAILED },
  },
  delete: {
    summary: "Delete an entry",
    query: KEY_IN_QUERY,
    headers: CONDITIONS,
    responses: { 200: COMMIT, 412: FAILED },
  },
} satisfies Record<string, Described>;

const { get: getOne, put: putOne, delete: deleteOne } = oneEntry;

/** By what follows `/api/databases/{databaseId}/`, then by the method. */
export const DATA_ROUTES: Readonly<Record<string, Readonly<Record<string, Described>>>> = {
  "entries/{key}": oneEntry,
  entries: {
    get: {
      summary: "List entries, or get the one that `key` names",
      query: {
        ...getOne.query,
        ...SELECTOR,
        limit: "From 1 to 1000, and 100 when it is not given.",
        reverse: "`true`: the greatest key first.",
        cursor: "The `cursor` of the page before.",
        keysOnly: "`true`: entries have no values.",
      },
      responses: { 200: ["A page. `cursor` is there where more follow.", json(ref("EntryPage"))] },
    },
    put: putOne,
    delete: deleteOne,
  },
  "entries:get": {
    post: {
      summary: "Get up to 1,000 entries from one snapshot",
      query: { ...VALUES, ...AT },
      body: {
        description: "The keys.",
        content: json({
          type: "object",
          required: ["keys"],
          properties: { keys: { type: "array", items: ref("Key") } },
        }),
      },
      responses: {
        200: [
          "The entries in the order asked, null where there is none.",
          json({
            type: "object",
            properties: { entries: { type: "array", items: { anyOf: [ref("Entry"), { type: "null" }] } } },
          }),
        ],
      },
    },
  },
  "entries:delete": {
    post: {
      summary: "Delete what a selector names",
      body: {
        description: "`dryRun` only counts.",
        content: json({
          type: "object",
          required: ["selector"],
          properties: { selector: ref("Selector"), dryRun: { type: "boolean" } },
        }),
      },
      responses: {
        200: ["How many were deleted, or would be.", json(ref("Count"))],
        202: ["There are more than 10,000: the job that deletes them. `Location` has its address.", json(ref("Job"))],
      },
    },
  },
  atomic: {
    post: {
      summary: "Write atomically",
      query: { ...VALUES, conflict: "`200`: checks that do not hold are no error." },
      body: {
        description: "Checks, then mutations, all or nothing.",
        content: json({
          type: "object",
          properties: {
            checks: { type: "array", maxItems: 100, items: { type: "object" } },
            mutations: { type: "array", maxItems: 1000, items: { type: "object" } },
          },
        }),
      },
      responses: { 200: COMMIT, 409: ["Checks do not hold; `failedChecks` has their indexes."] },
    },
  },
  count: {
    get: {
      summary: "Count entries",
      query: { ...SELECTOR, ...AT },
      responses: { 200: ["How many there are at this versionstamp.", json(ref("Count"))] },
    },
  },
  export: {
    get: {
      summary: "Export entries",
      query: { ...SELECTOR, ...VALUES, ...AT },
      responses: { 200: ["A line for each entry.", lines("An entry as JSON in each line.")] },
    },
  },
  import: {
    post: {
      summary: "Import entries",
      query: {
        ...VALUES,
        overwrite: "`true`: entries that are there are replaced. Otherwise they are skipped.",
        prefix: "A key, as JSON, that is put before each key.",
        throwOnError: "`true`: the import ends at the first line that is wrong.",
        from: "The number of the first line that is read.",
      },
      body: { description: "A line for each entry.", content: lines("An entry as JSON in each line.") },
      responses: { 200: ["What came of the lines.", json(ref("Imported"))] },
    },
  },
  history: {
    get: {
      summary: "List the versions of a key",
      query: {
        key: "The key as JSON.",
        limit: "From 1 to 1000, and 100 when it is not given.",
        cursor: "The `cursor` of the page before.",
      },
      responses: { 200: ["The versions that the backup has, the newest first.", json({ type: "object" })] },
    },
  },
  diff: {
    get: {
      summary: "List the keys that differ between two moments",
      query: {
        from: "A moment.",
        to: "A moment. When it is not given, the database as it is now.",
        ...SELECTOR,
        limit: "From 1 to 1000, and 1000 when it is not given.",
        cursor: "The `cursor` of the page before.",
      },
      responses: { 200: ["The keys that were created, updated or deleted.", json({ type: "object" })] },
    },
  },
  undelete: {
    post: {
      summary: "Bring back the entries that are gone since a moment",
      body: {
        description:
          "`at`, and a `key`, a `prefix` or a `selector`. `force` also puts back entries that were changed since. `dryRun` only lists the entries, and goes on at its `cursor`.",
        content: json({
          type: "object",
          required: ["at"],
          properties: {
            at: { type: "string" },
            key: ref("Key"),
            prefix: ref("Key"),
            selector: ref("Selector"),
            force: { type: "boolean" },
            dryRun: { type: "boolean" },
            cursor: { type: "string", description: "The `cursor` of the dry run before." },
          },
        }),
      },
      responses: {
        200: ["The entries that were brought back, or would be.", json(ref("Undeleted"))],
        202: [
          "There are more than 1,000: the job that brings them back. `Location` has its address.",
          json(ref("Job")),
        ],
      },
    },
  },
  "jobs/{jobId}": {
    get: {
      summary: "Follow a deletion or an undelete of many entries",
      responses: { 200: ["The job.", json(ref("Job"))] },
    },
  },
  watch: {
    get: {
      summary: "Watch keys or a prefix",
      query: {
        key: "A key as JSON; up to 10.",
        prefix: SELECTOR.prefix,
        after: "The last `id` that was seen.",
        updatesOnly: "`true`: no first state.",
        ignoreDeletes: "`true`: deletes and expiries are not told.",
        keysOnly: "`true`: values are not told.",
        ...VALUES,
      },
      headers: { "Last-Event-ID": "The last `id` that was seen." },
      responses: { 200: ["Server-Sent Events, each with the state of the keys that have changed.", events] },
    },
  },
  feed: {
    get: {
      summary: "Follow every commit, by the read side of the Durable Streams protocol",
      query: {
        offset: "`-1`, `now`, or the `Stream-Next-Offset` of an answer.",
        live: "`long-poll` or `sse`.",
        cursor: "The `Stream-Cursor` of the answer before.",
        prefix: SELECTOR.prefix,
        type: "What `type` of the events says.",
        ...VALUES,
      },
      responses: {
        200: ["Events.", { ...json({ type: "array", items: { type: "object" } }), ...events }],
        204: ["Nothing came in time."],
        409: ["The database keeps no feed."],
        410: ["The offset is no longer kept."],
      },
    },
  },
};

const versionstamp = { type: "string", pattern: "^[0-9a-f]{20}$" };

const SCHEMAS = {
  Key: {
    type: "array",
    minItems: 1,
    description: "The parts of a key: strings, numbers, booleans, or objects with a type like `bigint`.",
    examples: [["users", 1]],
    items: {},
  },
  Selector: { type: "object", properties: { prefix: ref("Key"), start: ref("Key"), end: ref("Key") } },
  Entry: {
    type: "object",
    required: ["key", "versionstamp"],
    properties: { key: ref("Key"), value: {}, versionstamp, expiresAt: { type: ["string", "number"] } },
  },
  EntryPage: {
    type: "object",
    required: ["entries"],
    properties: { entries: { type: "array", items: ref("Entry") }, cursor: { type: "string" } },
  },
  Commit: {
    type: "object",
    required: ["ok"],
    properties: { ok: { type: "boolean" }, versionstamp, failedChecks: { type: "array", items: { type: "integer" } } },
  },
  Count: {
    type: "object",
    required: ["count", "versionstamp"],
    properties: { count: { type: "integer" }, versionstamp },
  },
  Undeleted: {
    type: "object",
    required: ["count", "skipped", "unchanged", "expired", "entries"],
    properties: {
      count: { type: "integer", description: "Entries that were brought back, or would be." },
      skipped: { type: "integer", description: "Entries that were written since, and stay as they are." },
      unchanged: { type: "integer", description: "Entries that are still there." },
      expired: { type: "integer", description: "Entries whose expiry is over." },
      entries: {
        type: "array",
        items: { type: "object", properties: { key: ref("Key"), versionstamp } },
      },
      cursor: { type: "string", description: "Of a dry run, where more follow." },
      versionstamp,
    },
  },
  Imported: {
    type: "object",
    required: ["count", "skipped", "errors", "lineErrors", "nextLine"],
    properties: {
      count: { type: "integer", description: "Entries that were written." },
      skipped: { type: "integer", description: "Entries that were there already." },
      errors: { type: "integer", description: "Lines that are wrong." },
      lineErrors: {
        type: "array",
        description: "The first 100 of them.",
        items: {
          type: "object",
          properties: { line: { type: "integer" }, code: { type: "string" }, detail: { type: "string" } },
        },
      },
      nextLine: { type: "integer", description: "With which line the same file goes on, as `from`." },
      versionstamp,
    },
  },
} as const;

/** What the document gets of these routes. */
export function dataRoutesOfDocument() {
  const paths = Object.entries({ ...DATA_ROUTES, ...RECORD_ROUTES, ...DOCUMENT_ROUTES, ...ARCHIVE_ROUTES }).map(
    ([path, methods]) => [
      `/api/databases/{databaseId}/${path}`,
      Object.fromEntries(Object.entries(methods).map(([method, route]) => [method, operationOf(path, method, route)])),
    ],
  );
  return {
    paths: Object.fromEntries(paths) as Record<string, Record<string, object>>,
    schemas: { ...SCHEMAS, ...RECORD_SCHEMAS, ...DOCUMENT_SCHEMAS, ...ARCHIVE_SCHEMAS },
  };
}

function operationOf(path: string, method: string, { summary, query, headers, body, responses }: Described) {
  const named = ["databaseId", ...(path.match(/(?<=\{)\w+/g) ?? [])];
  const parameters = [
    ...named.map((name) => ({ name, in: "path", required: true, schema: { type: "string" } })),
    ...Object.entries(query ?? {}).map(parameterIn("query")),
    ...Object.entries(headers ?? {}).map(parameterIn("header")),
  ];
  const words = `${path} ${method}`.match(/[A-Za-z]+/g) ?? [];
  return {
    summary,
    operationId: `data${words.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join("")}`,
    parameters,
    ...(body === undefined ? {} : { requestBody: { required: true, ...body } }),
    responses: {
      ...Object.fromEntries(
        Object.entries(responses).map(([status, [description, content]]) => [
          status,
          content === undefined ? { description } : { description, content },
        ]),
      ),
      default: { description: "A problem", content: { "application/problem+json": { schema: PROBLEM } } },
    },
  };
}

const PROBLEM = {
  type: "object",
  required: ["type", "title", "status", "detail", "code"],
  properties: { status: { type: "integer" }, detail: { type: "string" }, code: { type: "string" } },
};

function parameterIn(place: "query" | "header") {
  return ([name, description]: [string, string]) => ({ name, in: place, description, schema: { type: "string" } });
}
