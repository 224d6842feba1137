/** The requests and answers of /api as schemas. Requests are checked with them, and the OpenAPI document is made from them. */
import { z } from "zod";
import { decodeKey, encodeKey, type KeyPart } from "../../../codec/key-codec.ts";
import { jsonOfKey, type KeyPartJson } from "../../../codec/key-json.ts";
import {
  MAX_DATABASES_OF_TOKEN,
  MAX_DESCRIPTION_LENGTH,
  MAX_FEED_RETENTION_HOURS,
  MAX_NAME_LENGTH,
  MAX_PAGE_ITEMS,
} from "../../../core/limits.ts";
import { assert } from "../../../core/assert.ts";
import { fromBase64, fromHex, toHex } from "../../../core/bytes.ts";
import type { UnixMs } from "../../../core/clock.ts";
import { readTime, wantedOfTime } from "../../../core/rfc3339.ts";
import { saying } from "./checked.ts";
import { prefixJson, timeText, timeTextOrNull } from "../../http/job-json.ts";
import { prefix as prefixOfKeys } from "./notation-schemas.ts";
import { type Failure, isFailure } from "../../../core/errors.ts";
import {
  JOB_KINDS,
  PERMISSIONS,
  type DatabaseInfo,
  type OrganizationInfo,
  type Page,
  type Scopes,
  type TokenInfo,
} from "../../../contracts/resources.ts";
import { canonicalOrigin } from "../../../core/origins.ts";
import { JURISDICTIONS, LOCATION_HINTS } from "../../../contracts/placement.ts";

const CONTROL_CHARACTERS = /\p{Cc}/u;

/** JSON can contain half of a surrogate pair, which UTF-8 cannot. Such a text would be stored, or reach a key, as another text. */
export const wellFormed = (given: string): boolean => given.isWellFormed();
export const MUST_BE_WELL_FORMED = "must be well-formed Unicode";

/** The OpenAPI document would write the flags of a regular expression into its pattern, so schemas only use expressions without flags. */
export const nameOrEmpty = saying(
  z
    .string()
    .max(MAX_NAME_LENGTH)
    .refine((line) => !CONTROL_CHARACTERS.test(line), "must be one line without control characters")
    .refine(wellFormed, MUST_BE_WELL_FORMED),
  { example: "orders" },
);
export const name = saying(nameOrEmpty.min(1), { example: "orders" });
export const description = saying(z.string().max(MAX_DESCRIPTION_LENGTH).refine(wellFormed, MUST_BE_WELL_FORMED), {
  example: "of the web site",
});
export const time = z.iso.datetime({ offset: true });
/** A time in a request. */
const givenTime = saying(
  z
    .string()
    .superRefine((text, context) => {
      const read = readTime(text);
      if (!read.ok) context.addIssue({ code: "custom", message: `must be ${wantedOfTime(read)}` });
    })
    .meta({ format: "date-time" }),
  { what: "a time as in RFC 3339", example: "2031-01-01T00:00:00Z" },
);
export const uuid = saying(z.uuid(), { example: "0190f3c2-5b1e-4d6f-9a53-6c1f4b7f2a10" });

const keyPart = z
  .union([
    z.string().refine(wellFormed, MUST_BE_WELL_FORMED),
    z.number(),
    z.boolean(),
    z.discriminatedUnion("type", [
      z.strictObject({
        type: z.literal("bigint"),
        value: saying(z.string().regex(/^-?\d{1,640}$/), {
          what: "a whole number in at most 640 decimal digits, in quotes",
          example: "-12",
        }),
      }),
      z.strictObject({ type: z.literal("bytes"), value: saying(z.base64(), { example: "AQI=" }) }),
    ]),
  ])
  .meta({
    id: "KeyPart",
    description: 'A part of a key. Of JSON\'s own types, or {"type":"bigint"|"bytes","value":"…"}.',
  });
saying(keyPart, { what: 'a string, a number, true, false, or {"type":"bigint"|"bytes","value":"…"}' });

const keyPrefix = z
  .array(keyPart)
  .min(1)
  .meta({ description: "Only this key and keys that begin with all of these parts. Only with read and write." });
saying(keyPrefix, { what: "an array of parts of a key", example: ["users", "alice"] });

const scopeMembers = {
  permissions: saying(z.array(z.enum(PERMISSIONS)).min(1).meta({ description: "backup includes read." }), {
    what: "an array of permissions",
    example: ["read", "write"],
  }),
  databases: saying(z.union([z.literal("all"), z.array(uuid).min(1).max(MAX_DATABASES_OF_TOKEN)]), {
    what: '"all" or an array of ids of databases',
    example: ["0190f3c2-5b1e-4d6f-9a53-6c1f4b7f2a10"],
  }),
};

export const organizationParams = z.strictObject({ organizationId: z.string() });
export const databaseParams = z.strictObject({ databaseId: z.string() });
export const tokenParams = z.strictObject({ organizationId: z.string(), tokenId: z.string() });
export const jobParams = z.strictObject({ jobId: z.string() });

/** A number in a query: decimal digits only. */
export function wholeNumber(least: number, most: number, absent: number) {
  const digits = (given: unknown): unknown =>
    typeof given === "string" && /^\d{1,9}$/.test(given) ? Number(given) : given;
  const error = `must be a whole number from ${least} to ${most}, in decimal digits`;
  return z.preprocess(digits, z.number({ error }).int().min(least).max(most)).default(absent);
}

export const pageQuery = z.strictObject({
  limit: wholeNumber(1, MAX_PAGE_ITEMS, 20),
  cursor: z.string().min(1).optional().meta({ description: "`next` of the page before." }),
});

export const databasesQuery = pageQuery.extend({
  q: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "Text that the id or the name contains. Letters from A to Z are found in either case." }),
  sort: z.enum(["createdAt", "updatedAt"]).default("createdAt"),
  order: z.enum(["asc", "desc"]).default("asc"),
});

export const deletionQuery = z.strictObject({
  backups: z.enum(["keep", "delete"]).default("keep").meta({
    description: "What happens to its backup in a bucket: it stays, or the same job deletes its objects.",
  }),
});

export const revocationQuery = z.strictObject({
  minted: z.enum(["keep", "revoke"]).default("keep").meta({
    description:
      "What happens to the tokens that were minted with this token, and to those that they minted: they are kept, or revoked too.",
  }),
});

export const newOrganization = z.strictObject({ name });
export const newDatabase = z.strictObject({
  name: name.optional(),
  description: description.optional(),
  locationHint: z.enum(LOCATION_HINTS).optional(),
  jurisdiction: z.enum(JURISDICTIONS).optional(),
});

const feed = saying(
  z.strictObject({
    retentionHours: saying(z.number().int().min(1).max(MAX_FEED_RETENTION_HOURS), {
      what: `a whole number of hours from 1 to ${MAX_FEED_RETENTION_HOURS}`,
      example: 24,
    }),
    prefix: prefixOfKeys,
  }),
  { what: "an object, or null", example: { retentionHours: 24 } },
);
export const databaseChange = z.strictObject({
  name: name.optional(),
  description: description.optional(),
  feed: feed.nullable().optional().meta({
    description: "How long the database keeps its log for change feeds, and for which keys; null: it keeps none.",
  }),
});
export const newToken = z.strictObject({
  name,
  ...scopeMembers,
  keyPrefix: keyPrefix.optional(),
  expiresAt: givenTime.optional(),
  allowedOrigins: saying(z.array(z.string()).min(1), {
    what: "an array of origins",
    example: ["https://app.example.com"],
  })
    .optional()
    .meta({
      description:
        'Origins of the web pages that may use it, each a scheme, a host and perhaps a port; or "*" alone: every page. Without it no page may.',
    }),
});

export const organization = z
  .object({ id: uuid, name: z.string(), createdAt: time, updatedAt: time })
  .meta({ id: "Organization" });

export const createdOrganization = z.object({
  organization,
  tokenId: z.string(),
  token: z.string().meta({ description: "The first token, with every permission. Shown once." }),
});

export const database = z
  .object({
    id: uuid,
    organizationId: uuid,
    name: z.string(),
    description: z.string(),
    locationHint: z.enum(LOCATION_HINTS).nullable(),
    jurisdiction: z.enum(JURISDICTIONS).nullable(),
    feed: z.object({ retentionHours: z.number(), prefix: prefixOfKeys }).nullable(),
    createdAt: time,
    updatedAt: time,
  })
  .meta({ id: "Database" });

export const token = z
  .object({
    id: z.string(),
    name: z.string(),
    ...scopeMembers,
    keyPrefix: keyPrefix.nullable(),
    expiresAt: time.nullable(),
    allowedOrigins: z.array(z.string()).nullable(),
    signingKey: z.string().meta({
      description:
        "The id of the signing key with which the token's check was made. The token ends when the deployment drops that key.",
    }),
    createdBy: z.string().meta({ description: 'The id of the token that minted this one, or "deployment".' }),
    createdAt: time,
    lastUsedAt: time.nullable().meta({ description: "Rounded to the hour." }),
    revokedAt: time.nullable(),
  })
  .meta({ id: "Token" });

export const createdToken = token
  .extend({ token: z.string().meta({ description: "The token itself. Shown once." }) })
  .meta({ id: "CreatedToken" });

const digest = z.object({ count: z.number(), sum: z.string(), sumWithExpiries: z.string() });
export const restorePoint = z.object({ versionstamp: z.string(), time });
export const restorableRange = z.object({ first: restorePoint, last: restorePoint }).nullable();

export const verification = z
  .object({
    good: z.boolean(),
    range: restorableRange,
    live: digest.nullable(),
    backup: digest.nullable(),
    objects: z.number(),
    bytes: z.number(),
    problems: z.array(z.string()),
    damaged: z.array(
      z.object({
        generation: z.string(),
        intactUpTo: z
          .string()
          .nullable()
          .meta({ description: "Commits up to this one are whole. null: nothing in the generation is reliable." }),
        problem: z.string(),
      }),
    ),
    tookMs: z.number(),
  })
  .meta({ id: "Verification" });

const undone = z
  .object({
    commits: z.number().meta({ description: "How many commits after the moment, up to the switch, are undone." }),
    exact: z.boolean().meta({ description: "false: there are at least this many." }),
    first: z.string().nullable().meta({ description: "The versionstamp of the first of these commits." }),
  })
  .meta({ id: "Undone" });

const before = z
  .object({
    versionstamp: z.string(),
    stored: z.boolean().meta({ description: "Whether the backup holds that moment by now." }),
    fork: z
      .object({
        method: z.literal("POST"),
        path: z.string(),
        body: z.object({ at: z.string(), prefix: prefixOfKeys }),
      })
      .nullable()
      .meta({ description: "The request that makes a fork of that moment; null until the backup holds it." }),
  })
  .meta({ id: "Before" });

export const job = z
  .object({
    id: uuid,
    kind: z.enum(JOB_KINDS),
    databaseId: uuid,
    status: z.enum(["pending", "running", "completed", "failed", "cancelled"]),
    done: z.number().meta({
      description:
        "Bytes of the backup's objects that were read; of the database's entries while a verification reads those; deleted objects, of a database's deletion; deleted entries, of a deletion of those; bytes of an archive's keys and values; entries of the moment that were looked at, of an undelete.",
    }),
    total: z.number().meta({
      description:
        "The total for `done`, as far as it is known; 0: not known yet. The total of a verification grows with each generation.",
    }),
    rate: z.number().nullable().meta({ description: "Per second since the job began, in the unit of `done`." }),
    error: z.string().nullable(),
    result: z
      .object({
        phase: z.string().meta({ description: "The phase of the job, as a word or two for people." }),
        versionstamp: z.string().nullable(),
        damagedObject: z.string().nullable(),
        verification: verification.nullable(),
        undone: undone.nullable().meta({ description: "Present for a restore in place that has ended." }),
        before: before.nullable().meta({
          description:
            "The moment just before a restore in place changed anything. A restore to this moment brings back what was undone.",
        }),
        undeleted: z
          .object({
            count: z.number().meta({ description: "Entries that were brought back." }),
            skipped: z.number().meta({ description: "Entries that were written since, and stay as they are." }),
            unchanged: z.number().meta({ description: "Entries that were still there." }),
            expired: z.number().meta({ description: "Entries whose expiry is over." }),
          })
          .nullable()
          .meta({ description: "Present for an undelete: what it has come to so far." }),
      })
      .nullable()
      .meta({ description: "Present for jobs that run in the database, also while they run." }),
    createdAt: time,
    finishedAt: time.nullable(),
  })
  .meta({ id: "Job" });

export const stats = z
  .object({
    entries: z.number(),
    bytes: z.number(),
    versionstamp: z.string().nullable(),
    logBacklog: z.number().meta({ description: "Bytes of the mutation log that are not in the backup yet." }),
    watchers: z.number(),
    reads: z.number(),
    writes: z.number(),
    readUnits: z.number(),
    writeUnits: z.number(),
  })
  .meta({
    id: "Stats",
    description:
      "Counters are stored six seconds after the first use that is not stored: a crash loses at most these seconds.",
  });

export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({
    items: z.array(item),
    next: z.string().optional().meta({ description: "The cursor of the next page; left out at the end." }),
  });
}

/** Shows a page. The cursor is left out at the end. */
export function pageJson<Item, Json>(itemJson: (item: Item) => Json) {
  return ({ items, next }: Page<Item>) => ({ items: items.map(itemJson), ...(next === null ? {} : { next }) });
}

export function organizationJson(info: OrganizationInfo) {
  return { id: info.id, name: info.name, createdAt: timeText(info.createdAt), updatedAt: timeText(info.updatedAt) };
}

export function databaseJson(info: DatabaseInfo) {
  const { feed: kept } = info;
  return {
    ...info,
    feed: kept === null ? null : { ...kept, prefix: kept.prefix === null ? null : prefixJson(kept.prefix) },
    createdAt: timeText(info.createdAt),
    updatedAt: timeText(info.updatedAt),
  };
}

export function tokenJson({ scopes, ...info }: TokenInfo) {
  return {
    id: info.id,
    name: info.name,
    permissions: scopes.permissions,
    databases: scopes.databases,
    keyPrefix: scopes.keyPrefix === null ? null : partsOfPrefix(scopes.keyPrefix),
    expiresAt: timeTextOrNull(scopes.expiresAt),
    allowedOrigins: scopes.allowedOrigins,
    signingKey: info.signingKey,
    createdBy: info.createdBy,
    createdAt: timeText(info.createdAt),
    lastUsedAt: timeTextOrNull(info.lastUsedAt),
    revokedAt: timeTextOrNull(info.revokedAt),
  };
}

export function scopesOf(body: z.output<typeof newToken>): Scopes | Failure {
  const prefix = body.keyPrefix === undefined ? null : prefixOfParts(body.keyPrefix);
  if (isFailure(prefix)) return prefix;
  const origins: string[] = [];
  for (const text of body.allowedOrigins ?? []) {
    const origin = canonicalOrigin(text);
    if (isFailure(origin)) return origin;
    origins.push(origin);
  }
  return {
    permissions: body.permissions,
    databases: body.databases === "all" ? "all" : body.databases.map((id) => id.toLowerCase()),
    keyPrefix: prefix,
    expiresAt: body.expiresAt === undefined ? null : timeOf(body.expiresAt),
    allowedOrigins: body.allowedOrigins === undefined ? null : origins,
  };
}

/** The time in a text that was already checked. */
function timeOf(text: string): UnixMs {
  const read = readTime(text);
  assert(read.ok, "a time as in RFC 3339");
  return read.time;
}

function prefixOfParts(parts: readonly z.output<typeof keyPart>[]): string | Failure {
  const encoded = encodeKey(
    parts.map((part): KeyPart => {
      if (typeof part !== "object") return part;
      return part.type === "bigint" ? BigInt(part.value) : fromBase64(part.value);
    }),
  );
  return encoded.ok ? toHex(encoded.bytes) : encoded;
}

function partsOfPrefix(hex: string): KeyPartJson[] {
  const decoded = decodeKey(fromHex(hex));
  assert(decoded.ok, "a stored key prefix to be an encoded key");
  return jsonOfKey(decoded.key);
}
