/** The requests of /v1: query parameters and bodies. A refusal is a sentence that names the member. */
import type { NewBackupDestination } from "../../../contracts/backup-destinations.ts";
import { asUnixMs, type UnixMs } from "../../../core/clock.ts";
import { failure, type Failure, isFailure } from "../../../core/errors.ts";
import { MAX_DESCRIPTION_LENGTH, MAX_PAGE_ITEMS } from "../../../core/limits.ts";
import type { Ordering } from "../../../contracts/management.ts";
import { readTime, wantedOfTime } from "../../../core/rfc3339.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
const DEFAULT_LIMIT = 20;

export interface PageQuery extends Ordering {
  readonly page: number;
  readonly limit: number;
}

/** An empty parameter counts as absent, because the SDK sends empty ones for null. */
export function pageQuery(query: URLSearchParams): PageQuery | Failure {
  const page = wholeNumber(query, "page", 1, Number.MAX_SAFE_INTEGER, 1);
  if (isFailure(page)) return page;
  const limit = wholeNumber(query, "limit", 1, MAX_PAGE_ITEMS, DEFAULT_LIMIT);
  if (isFailure(limit)) return limit;
  const sort = oneOf(query, "sort", { created_at: "createdAt", updated_at: "updatedAt" } as const, "created_at");
  if (isFailure(sort)) return sort;
  const order = oneOf(query, "order", { asc: "asc", desc: "desc" } as const, "asc");
  if (isFailure(order)) return order;
  return { page, limit, sort, order, query: query.get("q") || null };
}

/** null when the member is null or absent. */
export function descriptionOf(body: unknown): { readonly description: string | null } | Failure {
  if (!isObject(body)) return failure("invalid", "The body must be a JSON object.");
  const { description, ...others } = body;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) return unknownMember(unknown);
  if (description === undefined || description === null) return { description: null };
  if (typeof description !== "string") return failure("invalid", "description must be a string or null.");
  const length = Array.from(description).length;
  if (length > MAX_DESCRIPTION_LENGTH) {
    return failure("limit", `description has ${length} characters, at most ${MAX_DESCRIPTION_LENGTH} are allowed.`);
  }
  return { description };
}

type Members = Readonly<Record<string, unknown>>;
type Kind = NewBackupDestination["kind"];

/** null: /v1 has no such kind, because Subhosting's API has none. /api has it. */
const destinationReaders: Readonly<Record<Kind, ((members: Members) => NewBackupDestination | Failure) | null>> = {
  s3: s3Destination,
  r2: null,
};

const isKind = (kind: unknown): kind is Kind => typeof kind === "string" && Object.hasOwn(destinationReaders, kind);

/** The destination in a body that asks for a backup. The object of the database checks the values. */
export function destinationOf(body: unknown): NewBackupDestination | Failure {
  if (!isObject(body)) return failure("invalid", "The body must be a JSON object.");
  const { kind, ...members } = body;
  const read = isKind(kind) ? destinationReaders[kind] : null;
  return read === null ? failure("invalid", 'kind must be "s3".') : read(members);
}

function s3Destination(members: Members): NewBackupDestination | Failure {
  const { endpoint, bucketName, bucketRegion, accessKeyId, secretAccessKey, prefix, ...others } = members;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) return unknownMember(unknown);
  if (prefix !== undefined && prefix !== null && typeof prefix !== "string")
    return failure("invalid", "prefix must be a string.");
  const texts = { endpoint, bucketName, bucketRegion, accessKeyId, secretAccessKey };
  for (const [name, value] of Object.entries(texts)) {
    if (typeof value !== "string" || value === "")
      return failure("invalid", `${name} must be a string that is not empty.`);
  }
  return {
    kind: "s3",
    endpoint: String(endpoint),
    bucketName: String(bucketName),
    bucketRegion: String(bucketRegion),
    accessKeyId: String(accessKeyId),
    secretAccessKey: String(secretAccessKey),
    sessionToken: null,
    prefix: prefix ?? "",
  };
}

/** At most a day. By default the day that ends now. */
export function timeRange(
  query: URLSearchParams,
  now: UnixMs,
): { readonly since: UnixMs; readonly until: UnixMs } | Failure {
  const until = timeOf(query, "until") ?? now;
  if (isFailure(until)) return until;
  const since = timeOf(query, "since") ?? asUnixMs(until - DAY_MS);
  if (isFailure(since)) return since;
  if (since > until) return failure("invalid", "since is after until.");
  if (until - since > DAY_MS) return failure("invalid", "since and until lie more than 24 hours apart.");
  return { since, until };
}

function unknownMember(name: string): Failure {
  return failure("invalid", `The body has a member ${JSON.stringify(name.slice(0, 50))}, which is not known here.`);
}

function timeOf(query: URLSearchParams, name: string): UnixMs | Failure | undefined {
  const text = query.get(name);
  if (!text) return undefined;
  const read = readTime(text);
  return read.ok ? read.time : failure("invalid", `${name} must be ${wantedOfTime(read)}`);
}

function wholeNumber(
  query: URLSearchParams,
  name: string,
  least: number,
  most: number,
  absent: number,
): number | Failure {
  const text = query.get(name);
  if (!text) return absent;
  const number = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  return failure("invalid", `${name} must be a whole number ${range}.`);
}

function oneOf<Words extends Record<string, string>>(
  query: URLSearchParams,
  name: string,
  words: Words,
  absent: keyof Words & string,
): Words[keyof Words] | Failure {
  const text = query.get(name) || absent;
  // A text that is an own key of `words` is one of its keys.
  if (Object.hasOwn(words, text)) return words[text] as Words[keyof Words];
  return failure("invalid", `${name} must be ${Object.keys(words).join(" or ")}.`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
