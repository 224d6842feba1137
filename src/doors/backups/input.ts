/** The values of requests about archives. Refusals are thrown, and `reading` makes failures of them (`codec/json-notation/members.ts`). */
import { refuse, tooMuch } from "../../codec/json-notation/members.ts";
import { described } from "../../codec/json-notation/place.ts";
import { isObject, type JsonObject } from "../../codec/json-notation/types.ts";
import {
  ARCHIVE_DESTINATION_TYPES,
  ARCHIVE_TYPES,
  type ArchiveScheduleSetting,
  type ArchiveType,
  type FailureNotice,
  type NewArchiveDestination,
  type NewArchiveDestinationConfig,
} from "../../contracts/archive-commands.ts";
import type { S3Addressing } from "../../contracts/backup-destinations.ts";
import {
  MAX_ARCHIVE_DESCRIPTION_CHARACTERS,
  MAX_ARCHIVE_DESTINATION_NAME_CHARACTERS,
  MAX_ARCHIVE_RETENTION_DAYS,
  MAX_KEPT_ARCHIVES,
} from "../../core/archive-limits.ts";
import { MAX_NAME_LENGTH } from "../../core/limits.ts";

const NAME = "values";

export function archiveOf(values: JsonObject): { readonly type: ArchiveType; readonly description: string } {
  const read = new Members(NAME, values, ["type", "description"]);
  return {
    type: read.oneOf("type", ARCHIVE_TYPES) ?? "full",
    description: descriptionOf(read.text("description", 0, MAX_ARCHIVE_DESCRIPTION_CHARACTERS) ?? ""),
  };
}

/** Lists show it on one line. */
export function descriptionOf(text: string): string {
  if (text.length > MAX_ARCHIVE_DESCRIPTION_CHARACTERS) {
    tooMuch(`description has ${text.length} characters; the limit is ${MAX_ARCHIVE_DESCRIPTION_CHARACTERS}.`);
  }
  return text.isWellFormed() && !/\p{Cc}/u.test(text)
    ? text
    : refuse("description must be well-formed Unicode without control characters, line breaks among them.");
}

/** The name of the database that a fork makes. */
export function forkOf(values: JsonObject): { readonly name: string } {
  const name = new Members(NAME, values, ["name"]).text("name", 1, MAX_NAME_LENGTH);
  if (name === undefined) return refuse('values.name is missing: it is the name of the new database, like "orders".');
  return name.isWellFormed() && !/\p{Cc}/u.test(name)
    ? { name }
    : refuse("values.name must be one line of well-formed Unicode without control characters.");
}

export function scheduleOf(values: JsonObject): Partial<ArchiveScheduleSetting> {
  const names = ["enabled", "cron", "timezone", "type", "retention", "maxBackups", "notifyOnFailure"];
  const read = new Members(NAME, values, names);
  return defined({
    enabled: read.flag("enabled"),
    cron: read.text("cron", 1, 1_000),
    timezone: read.text("timezone", 1, 100),
    type: read.oneOf("type", ARCHIVE_TYPES),
    retentionDays: read.numberOrNull("retention", MAX_ARCHIVE_RETENTION_DAYS),
    maxBackups: read.numberOrNull("maxBackups", MAX_KEPT_ARCHIVES),
    notifyOnFailure: noticeOf(values["notifyOnFailure"]),
  });
}

function noticeOf(given: unknown): FailureNotice | undefined {
  if (given === undefined) return undefined;
  if (given === null || given === false) return null;
  if (given === true) return "webhooks";
  const url = isObject(given) ? given["url"] : given;
  if (typeof url === "string") return { url };
  return refuse(
    `values.notifyOnFailure is ${described(given)}; it must be true for the organization's webhooks, false, or a URL such as "https://example.com/hook".`,
  );
}

export function destinationOf(values: JsonObject): NewArchiveDestination {
  const read = new Members(NAME, values, ["type", "name", "config", "enabled", "maxBackups"]);
  const type =
    read.oneOf("type", ARCHIVE_DESTINATION_TYPES) ??
    refuse('values.type is missing: it must be one of "s3", "r2", "local".');
  const { config, maxBackups } = configOf(type, values["config"] ?? {});
  return {
    name: nameOf(read) ?? refuse('values.name is missing: it must be a text, such as "nightly, Frankfurt".'),
    enabled: read.flag("enabled") ?? true,
    maxBackups: read.numberOrNull("maxBackups", MAX_KEPT_ARCHIVES) ?? maxBackups ?? null,
    config,
  };
}

/** A changed place is given whole, with its type. */
export function changedDestinationOf(values: JsonObject): Partial<NewArchiveDestination> {
  const read = new Members(NAME, values, ["type", "name", "config", "enabled", "maxBackups"]);
  const type = read.oneOf("type", ARCHIVE_DESTINATION_TYPES);
  const given = values["config"];
  if (given !== undefined && type === undefined) {
    refuse("values.type is missing: a changed config is sent whole, with its type and its secret.");
  }
  if (given === undefined && type !== undefined) refuse("values.config is missing: a changed type needs its config.");
  const placed = type === undefined || given === undefined ? undefined : configOf(type, given);
  return defined({
    name: nameOf(read),
    enabled: read.flag("enabled"),
    maxBackups: read.numberOrNull("maxBackups", MAX_KEPT_ARCHIVES) ?? placed?.maxBackups,
    config: placed?.config,
  });
}

function nameOf(read: Members): string | undefined {
  const name = read.text("name", 1, MAX_ARCHIVE_DESTINATION_NAME_CHARACTERS);
  if (name === undefined || (name.isWellFormed() && !/\p{Cc}/u.test(name))) return name;
  return refuse("values.name must be well-formed Unicode without control characters.");
}

interface Placed {
  readonly config: NewArchiveDestinationConfig;
  readonly maxBackups: number | null | undefined;
}

const S3_MEMBERS = [
  "bucket",
  "region",
  "endpoint",
  "accessKeyId",
  "secretAccessKey",
  "sessionToken",
  "prefix",
  "addressing",
  "maxBackups",
];

const ADDRESSINGS: readonly S3Addressing[] = ["path", "virtual-host"];

/** Lengths and forms are checked where the place is opened; here each member only gets its type. */
function configOf(type: NewArchiveDestinationConfig["type"], given: unknown): Placed {
  const where = `${NAME}.config`;
  if (!isObject(given)) return refuse(`${where} is ${described(given)}; it must be an object.`);
  if (type !== "s3") {
    const read = new Members(where, given, ["directory", "maxBackups"]);
    const directory = read.text("directory", 0, LONGEST) ?? "";
    return { config: { type, directory }, maxBackups: read.numberOrNull("maxBackups", MAX_KEPT_ARCHIVES) };
  }
  const read = new Members(where, given, S3_MEMBERS);
  const region = read.needed("region", '"eu-central-1"');
  return {
    config: {
      type,
      bucket: read.needed("bucket", '"my-archives"'),
      region,
      endpoint: read.text("endpoint", 1, LONGEST) ?? `https://s3.${region}.amazonaws.com`,
      accessKeyId: read.needed("accessKeyId", '"AKIAIOSFODNN7EXAMPLE"'),
      secretAccessKey: read.needed("secretAccessKey", "the secret of the access key"),
      sessionToken: read.text("sessionToken", 1, 100_000) ?? null,
      prefix: read.text("prefix", 0, LONGEST) ?? "",
      addressing: read.oneOf("addressing", ADDRESSINGS) ?? "path",
    },
    maxBackups: read.numberOrNull("maxBackups", MAX_KEPT_ARCHIVES),
  };
}

/** More than the limits of the members, whose messages are more exact. */
const LONGEST = 2_000;

/** The members of one object, each of the wanted type or refused. undefined: the member is not there. */
class Members {
  readonly #name: string;
  readonly #json: JsonObject;

  constructor(name: string, json: JsonObject, known: readonly string[]) {
    this.#name = name;
    this.#json = json;
    const unknown = Object.keys(json).find((member) => !known.includes(member));
    if (unknown !== undefined) {
      refuse(
        `${name} has ${JSON.stringify(unknown.slice(0, 40))}, which is not known here: it takes ${known.join(", ")}.`,
      );
    }
  }

  needed(member: string, example: string): string {
    return (
      this.text(member, 1, LONGEST) ??
      refuse(`${this.#name}.${member} is missing: it must be a text, such as ${example}.`)
    );
  }

  text(member: string, least: number, most: number): string | undefined {
    const given = this.#json[member];
    if (given === undefined) return undefined;
    if (typeof given !== "string") return refuse(`${this.#name}.${member} is ${described(given)}; it must be a text.`);
    if (given.length > most) tooMuch(`${this.#name}.${member} has ${given.length} characters; the limit is ${most}.`);
    return given.length < least ? refuse(`${this.#name}.${member} must not be empty.`) : given;
  }

  flag(member: string): boolean | undefined {
    const given = this.#json[member];
    if (given === undefined || typeof given === "boolean") return given;
    return refuse(`${this.#name}.${member} is ${described(given)}; it must be true or false.`);
  }

  oneOf<Word extends string>(member: string, words: readonly Word[]): Word | undefined {
    const given = this.#json[member];
    if (given === undefined) return undefined;
    const found = words.find((word) => word === given);
    const wanted = words.map((word) => JSON.stringify(word)).join(", ");
    return found ?? refuse(`${this.#name}.${member} is ${described(given)}; it must be one of ${wanted}.`);
  }

  /** A whole number from 1 on. */
  numberOrNull(member: string, most: number): number | null | undefined {
    const given = this.#json[member];
    if (given === undefined || given === null) return given;
    const isSound = typeof given === "number" && Number.isInteger(given) && given >= 1 && given <= most;
    return isSound
      ? given
      : refuse(`${this.#name}.${member} is ${described(given)}; it must be a whole number from 1 to ${most}, or null.`);
  }
}

type Defined<T> = { readonly [Member in keyof T]?: Exclude<T[Member], undefined> };

/** Without the members that are undefined. */
function defined<T extends object>(members: T): Defined<T> {
  // Only members without a value are left out.
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as Defined<T>;
}
