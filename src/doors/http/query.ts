/** Query parameters that several doors take. */
import { quotedExcerpt } from "../../codec/json-notation/place.ts";
import { failure, type Failure } from "../../core/errors.ts";

/** The whole number in a parameter, from `least` to `most`. `fallback` when it is not given. */
export function numberOf(
  query: URLSearchParams,
  name: string,
  { least, most, fallback }: { readonly least: number; readonly most: number; readonly fallback: number },
): number | Failure {
  const text = query.get(name);
  if (text === null) return fallback;
  const number = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  return failure("invalid", `${name} is ${quotedExcerpt(text)}; it must be a whole number from ${least} to ${most}.`);
}

export function flagOf(query: URLSearchParams, name: string): boolean | Failure {
  const text = query.get(name);
  if (text === null || text === "false") return false;
  if (text === "true") return true;
  return failure("invalid", `${name} is ${quotedExcerpt(text)}; it must be true or false.`);
}
