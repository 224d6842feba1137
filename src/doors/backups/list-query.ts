/** The query of a list: `sort` or `sort[]`, `page`, `pageSize`, and `filter` as a JSON text. */
import { quotedExcerpt } from "../../codec/json-notation/place.ts";
import { isObject } from "../../codec/json-notation/types.ts";
import {
  ARCHIVE_DESTINATION_TYPES,
  ARCHIVE_ORIGINS,
  ARCHIVE_SORTS,
  ARCHIVE_STATUSES,
  ARCHIVE_TYPES,
  type ArchiveDestinationInfo,
  type ArchiveListQuery,
} from "../../contracts/archive-commands.ts";
import { MAX_ARCHIVES_ON_PAGE } from "../../core/archive-limits.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { numberOf } from "../http/query.ts";

export const LIST_PARAMETERS = ["sort", "sort[]", "page", "pageSize", "filter"];

const DEFAULT_PAGE_SIZE = 20;
const LAST_PAGE = 1_000_000;

/** The values that each member of a filter may have. */
type Filters = Readonly<Record<string, readonly (string | boolean)[]>>;

interface ListQuery<Member, Known extends Filters> {
  /** From 1. */
  readonly page: number;
  readonly pageSize: number;
  /** The most significant first. */
  readonly sort: readonly { readonly by: Member; readonly descending: boolean }[];
  readonly filter: { readonly [Name in keyof Known]?: Known[Name][number] };
}

const ARCHIVE_FILTERS = { type: ARCHIVE_TYPES, status: ARCHIVE_STATUSES, origin: ARCHIVE_ORIGINS } as const;
const DESTINATION_FILTERS = { type: ARCHIVE_DESTINATION_TYPES, enabled: [true, false] } as const;
const DESTINATION_SORTS = ["id", "name", "type", "enabled", "maxBackups", "createdAt", "updatedAt"] as const;

type DestinationSort = (typeof DESTINATION_SORTS)[number];
export type DestinationListQuery = ListQuery<DestinationSort, typeof DESTINATION_FILTERS>;

export function archiveListQueryOf(query: URLSearchParams): ArchiveListQuery | Failure {
  const wanted = listQueryOf(query, ARCHIVE_SORTS, ARCHIVE_FILTERS);
  if (isFailure(wanted) || wanted.sort.length > 0) return wanted;
  return { ...wanted, sort: [{ by: "createdAt", descending: true }] };
}

export function destinationListQueryOf(query: URLSearchParams): DestinationListQuery | Failure {
  return listQueryOf(query, DESTINATION_SORTS, DESTINATION_FILTERS);
}

/** Those of all pages. Without `sort` they stay in the order in which archives are read from them. */
export function wantedDestinations(
  all: readonly ArchiveDestinationInfo[],
  { sort, filter: { type, enabled } }: DestinationListQuery,
): readonly ArchiveDestinationInfo[] {
  return all
    .filter((one) => (type ?? one.config.type) === one.config.type && (enabled ?? one.enabled) === one.enabled)
    .toSorted((a, b) => {
      for (const { by, descending } of sort) {
        const [left, right] = [sortedBy(a, by), sortedBy(b, by)];
        if (left !== right) return left < right === descending ? 1 : -1;
      }
      return 0;
    });
}

function sortedBy(one: ArchiveDestinationInfo, by: DestinationSort): string | number {
  const value = by === "type" ? one.config.type : one[by];
  if (typeof value === "boolean") return Number(value);
  // In lists of archives what has no value is the smallest, too.
  return value ?? Number.NEGATIVE_INFINITY;
}

function listQueryOf<Member extends string, Known extends Filters>(
  query: URLSearchParams,
  members: readonly Member[],
  filters: Known,
): ListQuery<Member, Known> | Failure {
  const page = numberOf(query, "page", { least: 1, most: LAST_PAGE, fallback: 1 });
  if (isFailure(page)) return page;
  const pageSize = numberOf(query, "pageSize", { least: 1, most: MAX_ARCHIVES_ON_PAGE, fallback: DEFAULT_PAGE_SIZE });
  if (isFailure(pageSize)) return pageSize;
  const sort = sortOf([...query.getAll("sort"), ...query.getAll("sort[]")], members);
  if (isFailure(sort)) return sort;
  const found = filterOf(query.get("filter"), filters);
  return isFailure(found) ? found : { page, pageSize, sort, filter: found.filter };
}

/** Several members come as several parameters, or with commas between them. */
function sortOf<Member extends string>(
  texts: readonly string[],
  members: readonly Member[],
): ListQuery<Member, Filters>["sort"] | Failure {
  const sort: { by: Member; descending: boolean }[] = [];
  for (const text of texts.flatMap((one) => one.split(",")).filter((one) => one !== "")) {
    const descending = text.startsWith("-");
    const name = descending ? text.slice(1) : text;
    const by = members.find((one) => one === name);
    if (by === undefined) {
      return failure(
        "invalid",
        `sort is ${quotedExcerpt(text)}; it must be one of ${members.join(", ")}, with "-" before it for the greatest first.`,
      );
    }
    if (!sort.some((one) => one.by === by)) sort.push({ by, descending });
  }
  return sort;
}

/** Each member is a value, or `{"$eq": value}`. */
function filterOf<Known extends Filters>(
  text: string | null,
  filters: Known,
): { readonly filter: ListQuery<string, Known>["filter"] } | Failure {
  if (text === null) return { filter: {} };
  const names = Object.keys(filters).join(", ");
  const example = Object.hasOwn(filters, "status") ? '{"status":"completed"}' : '{"enabled":true}';
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return failure("invalid", `filter must be a JSON object, such as ${example}.`);
  }
  if (!isObject(json)) return failure("invalid", `filter must be a JSON object, such as ${example}.`);
  const filter: Record<string, string | boolean> = {};
  for (const [member, given] of Object.entries(json)) {
    const name = member.replace(/\.\$eq$/, "");
    const value = isObject(given) && Object.keys(given).length === 1 ? given["$eq"] : given;
    const known = Object.hasOwn(filters, name) ? filters[name] : undefined;
    if (known === undefined) {
      return failure("invalid", `filter has ${quotedExcerpt(member)}; it takes ${names}, such as ${example}.`);
    }
    const found = known.find((one) => one === value);
    if (found === undefined) return failure("invalid", `filter.${name} must be one of ${known.join(", ")}.`);
    filter[name] = found;
  }
  return { filter };
}
