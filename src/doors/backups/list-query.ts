/** The query of a list: `sort` or `sort[]`, `page`, `pageSize`, and `filter` as a JSON text. */
import { quotedExcerpt } from "../../codec/json-notation/place.ts";
import { isObject } from "../../codec/json-notation/types.ts";
import {
  ARCHIVE_ORIGINS,
  ARCHIVE_SORTS,
  ARCHIVE_STATUSES,
  ARCHIVE_TYPES,
  type ArchiveListQuery,
  type ArchiveSort,
} from "../../contracts/archive-commands.ts";
import { MAX_ARCHIVES_ON_PAGE } from "../../core/archive-limits.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { numberOf } from "../http/query.ts";

export const LIST_PARAMETERS = ["sort", "sort[]", "page", "pageSize", "filter"];

const DEFAULT_PAGE_SIZE = 20;
const LAST_PAGE = 1_000_000;

export function listQueryOf(query: URLSearchParams): ArchiveListQuery | Failure {
  const page = numberOf(query, "page", { least: 1, most: LAST_PAGE, fallback: 1 });
  if (isFailure(page)) return page;
  const pageSize = numberOf(query, "pageSize", { least: 1, most: MAX_ARCHIVES_ON_PAGE, fallback: DEFAULT_PAGE_SIZE });
  if (isFailure(pageSize)) return pageSize;
  const sort = sortOf([...query.getAll("sort"), ...query.getAll("sort[]")]);
  if (isFailure(sort)) return sort;
  const filter = filterOf(query.get("filter"));
  return isFailure(filter) ? filter : { page, pageSize, sort, filter };
}

/** Several fields come as several parameters, or with commas between them. */
function sortOf(texts: readonly string[]): ArchiveListQuery["sort"] | Failure {
  const sort: { by: ArchiveSort; descending: boolean }[] = [];
  for (const text of texts.flatMap((one) => one.split(",")).filter((one) => one !== "")) {
    const descending = text.startsWith("-");
    const name = descending ? text.slice(1) : text;
    const by = ARCHIVE_SORTS.find((one) => one === name);
    if (by === undefined) {
      const known = ARCHIVE_SORTS.join(", ");
      return failure(
        "invalid",
        `sort is ${quotedExcerpt(text)}; it must be one of ${known}, with "-" before it for the greatest first.`,
      );
    }
    if (!sort.some((one) => one.by === by)) sort.push({ by, descending });
  }
  return sort.length === 0 ? [{ by: "createdAt", descending: true }] : sort;
}

const FILTERS = { type: ARCHIVE_TYPES, status: ARCHIVE_STATUSES, origin: ARCHIVE_ORIGINS } as const;
const FILTER_EXAMPLE = 'such as {"status":"completed"}';

/** Each member is a value, or `{"$eq": value}`. */
function filterOf(text: string | null): ArchiveListQuery["filter"] | Failure {
  if (text === null) return {};
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return failure("invalid", `filter must be a JSON object, ${FILTER_EXAMPLE}.`);
  }
  if (!isObject(json)) return failure("invalid", `filter must be a JSON object, ${FILTER_EXAMPLE}.`);
  const filter: Record<string, string> = {};
  for (const [member, given] of Object.entries(json)) {
    const name = member.replace(/\.\$eq$/, "");
    const value = isObject(given) && Object.keys(given).length === 1 ? given["$eq"] : given;
    const words: readonly string[] | undefined = isFilter(name) ? FILTERS[name] : undefined;
    if (words === undefined) {
      return failure(
        "invalid",
        `filter has ${quotedExcerpt(member)}; it takes type, status and origin, ${FILTER_EXAMPLE}.`,
      );
    }
    if (typeof value !== "string" || !words.includes(value)) {
      return failure("invalid", `filter.${name} must be one of ${words.join(", ")}.`);
    }
    filter[name] = value;
  }
  return filter;
}

function isFilter(name: string): name is keyof typeof FILTERS {
  return Object.hasOwn(FILTERS, name);
}
