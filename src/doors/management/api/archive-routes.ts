/**
 * Archives (`doors/backups/`) as the OpenAPI document describes them. Each operation is written once here and described under both spellings
 * of its address. A test compares the addresses with those that the door takes.
 */
import { type Described, json, ref } from "./described-route.ts";

const data = (schema: unknown) => json({ type: "object", required: ["data"], properties: { data: schema } });
const bytes = { "application/octet-stream": { schema: { type: "string", format: "binary" } } };
const values = (schema: unknown) => ({
  description: "The values, or an object whose only member `values` has them.",
  content: json(schema),
});

const meta = {
  type: "object",
  required: ["count", "page", "pageSize", "totalPage"],
  properties: {
    count: { type: "integer", description: "How many there are on all pages." },
    page: { type: "integer" },
    pageSize: { type: "integer" },
    totalPage: { type: "integer" },
  },
};

interface Operation extends Omit<Described, "responses"> {
  /** What follows the resource's name and a colon in the spelling of actions. */
  readonly action: string;
  /** The address and method in the spelling of REST. */
  readonly rest: readonly [path: string, ...methods: string[]];
  readonly methods: readonly string[];
  readonly takesId?: true;
  readonly status: number;
  readonly says: string;
  /** The schema of what the action's `data` and the REST spelling's body are. null: bytes, or nothing in the REST spelling. */
  readonly found: unknown;
  readonly isList?: true;
}

const READ = ["get", "post"];
const WRITE = ["post"];

const restore = {
  type: "object",
  required: ["confirm"],
  properties: {
    confirm: { const: true, description: "The restore replaces the whole database." },
    safetyArchive: { type: "boolean", default: true, description: "An archive of the present state is made first." },
  },
};

const newArchive = {
  type: "object",
  properties: {
    type: { enum: ["full", "database"], default: "full" },
    description: { type: "string", maxLength: 1000 },
  },
};

const page = { page: "From 1.", pageSize: "From 1 to 200, and 20 when it is not given." };

const archiveQuery = {
  ...page,
  sort: "A member, with `-` before it for the greatest first; also as `sort[]`. `-createdAt` when it is not given.",
  filter: "`type`, `status` and `origin` as a JSON object.",
};

const destinationQuery = {
  ...page,
  sort: "A member, with `-` before it for the greatest first; also as `sort[]`. The order of reading when it is not given.",
  filter: "`type` and `enabled` as a JSON object.",
};

const BACKUPS: readonly Operation[] = [
  {
    action: "create",
    rest: ["", "post"],
    methods: WRITE,
    summary: "Make an archive",
    body: values(newArchive),
    status: 202,
    says: "The archive, which is being made.",
    found: ref("Archive"),
  },
  {
    action: "list",
    rest: ["", "get"],
    methods: READ,
    summary: "List archives",
    query: archiveQuery,
    status: 200,
    says: "A page.",
    found: { type: "array", items: ref("Archive") },
    isList: true,
  },
  {
    action: "get",
    rest: ["/{backupId}", "get"],
    methods: READ,
    takesId: true,
    summary: "Get an archive, and how far it is",
    status: 200,
    says: "The archive.",
    found: ref("Archive"),
  },
  {
    action: "download",
    rest: ["/{backupId}:download", "get", "post"],
    methods: READ,
    takesId: true,
    summary: "Download an archive, or a range of it",
    headers: { Range: "One range of bytes.", "If-Range": "The `ETag` of the file." },
    status: 200,
    says: "The file. A request with `Range` gets 206, and one with `If-None-Match` and the file's `ETag` gets 304.",
    found: null,
  },
  {
    action: "restore",
    rest: ["/{backupId}:restore", "post"],
    methods: WRITE,
    takesId: true,
    summary: "Replace the whole database by an archive",
    body: values(restore),
    status: 202,
    says: "The job.",
    found: ref("Job"),
  },
  {
    action: "fork",
    rest: ["/{backupId}:fork", "post"],
    methods: WRITE,
    takesId: true,
    summary: "Make a new database with the state of an archive",
    body: values({ type: "object", required: ["name"], properties: { name: { type: "string" } } }),
    status: 201,
    says: "The new database, and the job that fills it.",
    found: {
      type: "object",
      properties: {
        database: { type: "object", properties: { id: { type: "string" }, name: { type: "string" } } },
        job: ref("Job"),
      },
    },
  },
  {
    action: "verify",
    rest: ["/{backupId}:verify", "post"],
    methods: WRITE,
    takesId: true,
    summary: "Read an archive whole and say what is wrong with it",
    status: 202,
    says: "The job.",
    found: ref("Job"),
  },
  {
    action: "cancel",
    rest: ["/{backupId}:cancel", "post"],
    methods: WRITE,
    takesId: true,
    summary: "Cancel an archive that is being made",
    status: 200,
    says: "The archive.",
    found: ref("Archive"),
  },
  {
    action: "destroy",
    rest: ["/{backupId}", "delete"],
    methods: WRITE,
    takesId: true,
    summary: "Remove an archive here and at every destination",
    status: 204,
    says: "It is gone.",
    found: { type: "object" },
  },
];

const UPLOAD: Described = {
  summary: "Take an archive from a file",
  query: { description: "What the archive is." },
  body: {
    description: "The file, or a multipart form whose one part is the file.",
    content: { ...bytes, "multipart/form-data": { schema: { type: "object" } } },
  },
  responses: { 202: ["The archive, which is being checked.", data(ref("Archive"))] },
};

const SCHEDULE: readonly Operation[] = [
  {
    action: "get",
    rest: ["", "get"],
    methods: READ,
    summary: "Get the schedule of archives, with its next three runs",
    status: 200,
    says: "The schedule.",
    found: ref("ArchiveSchedule"),
  },
  {
    action: "update",
    rest: ["", "put", "patch"],
    methods: WRITE,
    summary: "Set the schedule of archives",
    body: values(ref("NewArchiveSchedule")),
    status: 200,
    says: "The schedule. `notifySecret` is there where a URL is new, and is shown only once.",
    found: ref("ArchiveSchedule"),
  },
];

const DESTINATIONS: readonly Operation[] = [
  {
    action: "create",
    rest: ["", "post"],
    methods: WRITE,
    summary: "Give archives a destination; answers when the place has been tried",
    body: values(ref("NewArchiveDestination")),
    status: 201,
    says: "The destination.",
    found: ref("ArchiveDestination"),
  },
  {
    action: "list",
    rest: ["", "get"],
    methods: READ,
    summary: "List the destinations of archives",
    query: destinationQuery,
    status: 200,
    says: "A page.",
    found: { type: "array", items: ref("ArchiveDestination") },
    isList: true,
  },
  {
    action: "get",
    rest: ["/{destinationId}", "get"],
    methods: READ,
    takesId: true,
    summary: "Get a destination of archives",
    status: 200,
    says: "The destination.",
    found: ref("ArchiveDestination"),
  },
  {
    action: "update",
    rest: ["/{destinationId}", "patch"],
    methods: WRITE,
    takesId: true,
    summary: "Change a destination; a changed place is tried first",
    body: values(ref("NewArchiveDestination")),
    status: 200,
    says: "The destination.",
    found: ref("ArchiveDestination"),
  },
  {
    action: "test",
    rest: ["/{destinationId}:test", "post"],
    methods: WRITE,
    takesId: true,
    summary: "Try a destination: write, read, list and delete a small object",
    status: 200,
    says: "The destination. What fails is the problem's `detail`.",
    found: ref("ArchiveDestination"),
  },
  {
    action: "destroy",
    rest: ["/{destinationId}", "delete"],
    methods: WRITE,
    takesId: true,
    summary: "Remove a destination; what lies there stays",
    status: 204,
    says: "It is removed.",
    found: { type: "object" },
  },
];

const time = { type: "string", format: "date-time" };
const orNull = (schema: Readonly<Record<string, unknown>>) => ({ anyOf: [schema, { type: "null" }] });
const count = { type: "integer", minimum: 1 };

const scheduleMembers = {
  enabled: { type: "boolean" },
  cron: { type: "string", description: "Five fields, as in crontab.", examples: ["0 3 * * *"] },
  timezone: { type: "string", description: "A name of the IANA time zones.", examples: ["Europe/Berlin"] },
  type: { enum: ["full", "database"] },
  retention: { ...orNull(count), description: "Days. null: never deleted." },
  maxBackups: { ...orNull(count), description: "null: any number." },
  notifyOnFailure: {
    type: ["boolean", "string"],
    description: "true: the organization's webhooks. A URL: that one. false: nobody.",
  },
};

const destinationMembers = {
  type: { enum: ["s3", "r2", "local"] },
  name: { type: "string", maxLength: 100 },
  enabled: { type: "boolean", default: true },
  maxBackups: orNull(count),
};

export const ARCHIVE_SCHEMAS = {
  Archive: {
    type: "object",
    properties: {
      id: { type: "string", description: "A decimal number." },
      type: { enum: ["full", "database"] },
      status: { enum: ["pending", "running", "completed", "failed"] },
      origin: { enum: ["request", "schedule", "upload", "safety"] },
      description: { type: "string" },
      progress: { type: "integer", description: "Per cent." },
      done: { type: "number" },
      total: { type: "number" },
      rate: orNull({ type: "number" }),
      size: { ...orNull({ type: "number" }), description: "Bytes." },
      checksum: { ...orNull({ type: "string" }), description: "The SHA-256 of the file." },
      encrypted: { type: "boolean" },
      destinations: {
        type: "array",
        items: {
          type: "object",
          properties: {
            id: { type: "string" },
            name: { type: "string" },
            type: { enum: ["s3", "r2", "local"] },
            status: { enum: ["pending", "stored", "failed"] },
            object: { type: "string" },
            error: orNull({ type: "string" }),
          },
        },
      },
      databaseId: { type: "string" },
      versionstamp: orNull({ type: "string" }),
      jobId: orNull({ type: "string" }),
      createdAt: time,
      completedAt: orNull(time),
      error: orNull({ type: "string" }),
    },
  },
  NewArchiveSchedule: { type: "object", properties: scheduleMembers },
  ArchiveSchedule: {
    type: "object",
    properties: {
      ...scheduleMembers,
      nextRuns: { type: "array", items: time, description: "The next three." },
      lastRun: orNull({ type: "object" }),
      updatedAt: orNull(time),
      notifySecret: { type: "string" },
    },
  },
  NewArchiveDestination: {
    type: "object",
    properties: {
      ...destinationMembers,
      config: {
        type: "object",
        description:
          "For s3: bucket, region, endpoint, accessKeyId, secretAccessKey, sessionToken, prefix, addressing. For r2 and local: directory, maxBackups.",
      },
    },
  },
  ArchiveDestination: {
    type: "object",
    properties: {
      id: { type: "string" },
      ...destinationMembers,
      config: { type: "object", description: "As it was entered, without its secret." },
      lastResult: orNull({ type: "object" }),
      createdAt: time,
      updatedAt: time,
    },
  },
} as const;

export const ARCHIVE_ROUTES: Readonly<Record<string, Readonly<Record<string, Described>>>> = routesOf({
  backups: BACKUPS,
  backupSchedule: SCHEDULE,
  backupDestinations: DESTINATIONS,
});

function routesOf(resources: Readonly<Record<string, readonly Operation[]>>) {
  const routes: Record<string, Record<string, Described>> = { "backups:upload": { post: UPLOAD } };
  const add = (path: string, methods: readonly string[], described: Described): void => {
    for (const method of methods) (routes[path] ??= {})[method] = described;
  };
  for (const [resource, operations] of Object.entries(resources)) {
    for (const operation of operations) {
      const { action, rest, methods, takesId, status, says, found, isList, ...common } = operation;
      const [path, ...restMethods] = rest;
      const asData = isList === true ? { data: found, meta } : { data: found };
      const actionJson = json({ type: "object", required: Object.keys(asData), properties: asData });
      const restJson =
        isList === true ? json({ type: "object", properties: { items: found, ...meta.properties } }) : json(found);
      const id: Readonly<Record<string, string>> =
        takesId === true ? { filterByTk: "The id. It may also follow in the path." } : {};
      add(`${resource}:${action}`, methods, {
        ...common,
        query: { ...id, ...common.query },
        responses: { [status === 204 ? 200 : status]: found === null ? [says, bytes] : [says, actionJson] },
      });
      add(`${resource}${path}`, restMethods, {
        ...common,
        responses: { [status]: found === null ? [says, bytes] : status === 204 ? [says] : [says, restJson] },
      });
    }
  }
  return routes;
}
