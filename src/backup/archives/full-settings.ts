/**
 * What a full archive holds besides entries, as JSON: the schedule, the destinations and the tokens of the database, all without secrets. A
 * restore brings back the schedule. A destination that is missing comes back disabled, because its secret is not in the archive; one of the
 * same name stays as it is. Tokens are only listed: nobody can make one again without its secret.
 *
 * The text may come from a file of somebody else, so everything in it is looked at before it is taken. What has no known form is left out.
 */
import { parseJson } from "../../codec/json-notation/bounded-json.ts";
import { isObject } from "../../codec/json-notation/types.ts";
import {
  ARCHIVE_TYPES,
  type ArchiveDestinationConfig,
  type ArchiveDestinationInfo,
  type ArchiveScheduleSetting,
  type FailureNotice,
} from "../../contracts/archive-commands.ts";
import type { TokenInfo } from "../../contracts/resources.ts";
import { MAX_ARCHIVE_DESTINATIONS, MAX_ARCHIVE_RETENTION_DAYS, MAX_KEPT_ARCHIVES } from "../../core/archive-limits.ts";

/** The number of this form. Another number is not read. */
const FORM = 1;

const MAX_TEXT = 2_000;

export interface FullSettings {
  readonly schedule: ArchiveScheduleSetting | null;
  readonly destinations: readonly Pick<ArchiveDestinationInfo, "name" | "maxBackups" | "config">[];
}

export function settingsText(
  schedule: ArchiveScheduleSetting | null,
  destinations: readonly ArchiveDestinationInfo[],
  tokens: readonly TokenInfo[],
): string {
  const places = destinations.map(({ name, enabled, maxBackups, config }) => ({ name, enabled, maxBackups, config }));
  return JSON.stringify({ form: FORM, schedule, destinations: places, tokens });
}

/** null: the text has another form. */
export function settingsOf(text: string): FullSettings | null {
  // The archive may be anybody's.
  const parsed = parseJson(text, "The text");
  if (!parsed.ok) return null;
  const { json } = parsed;
  if (!isObject(json) || json["form"] !== FORM) return null;
  const { schedule, destinations } = json;
  const places = Array.isArray(destinations) ? destinations.slice(0, MAX_ARCHIVE_DESTINATIONS).map(destinationOf) : [];
  return { schedule: scheduleOf(schedule), destinations: places.filter((place) => place !== null) };
}

function scheduleOf(json: unknown): ArchiveScheduleSetting | null {
  if (!isObject(json)) return null;
  const { enabled, cron, timezone } = json;
  const type = ARCHIVE_TYPES.find((one) => one === json["type"]);
  const retentionDays = numberOf(json["retentionDays"], MAX_ARCHIVE_RETENTION_DAYS);
  const maxBackups = numberOf(json["maxBackups"], MAX_KEPT_ARCHIVES);
  const isSound = typeof enabled === "boolean" && isText(cron) && isText(timezone);
  if (!isSound || type === undefined || retentionDays === undefined || maxBackups === undefined) return null;
  return {
    enabled,
    cron,
    timezone,
    type,
    retentionDays,
    maxBackups,
    notifyOnFailure: noticeOf(json["notifyOnFailure"]),
  };
}

/** A URL that is not this database's own gets no secret, so nobody is told there until it is set again. */
function noticeOf(json: unknown): FailureNotice {
  if (json === "webhooks") return json;
  return isObject(json) && isText(json["url"]) ? { url: json["url"] } : null;
}

function destinationOf(json: unknown): FullSettings["destinations"][number] | null {
  if (!isObject(json)) return null;
  const { name } = json;
  const maxBackups = numberOf(json["maxBackups"], MAX_KEPT_ARCHIVES);
  const config = configOf(json["config"]);
  return isText(name) && maxBackups !== undefined && config !== null ? { name, maxBackups, config } : null;
}

function configOf(json: unknown): ArchiveDestinationConfig | null {
  if (!isObject(json)) return null;
  const { type } = json;
  if (type === "r2" || type === "local") {
    const { directory } = json;
    return isText(directory) ? { type, directory } : null;
  }
  const { endpoint, bucket, region, prefix, accessKeyId, addressing } = json;
  if (type !== "s3" || (addressing !== "path" && addressing !== "virtual-host")) return null;
  const isSound = isText(endpoint) && isText(bucket) && isText(region) && isText(prefix) && isText(accessKeyId);
  return isSound ? { type, endpoint, bucket, region, prefix, accessKeyId, addressing } : null;
}

function isText(json: unknown): json is string {
  return typeof json === "string" && json.length <= MAX_TEXT;
}

/** undefined: it is no such number. */
function numberOf(json: unknown, most: number): number | null | undefined {
  if (json === null) return null;
  return typeof json === "number" && Number.isInteger(json) && json >= 1 && json <= most ? json : undefined;
}
