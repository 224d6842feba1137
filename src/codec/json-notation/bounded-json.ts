/**
 * JSON from outside. The runtime's parser builds whatever the text describes: a text of 4 MiB can become a hundred megabytes of empty
 * objects or nested arrays. So the brackets are counted before the parser is called.
 */
import { failure, type Failure } from "../../core/errors.ts";
import { MAX_JSON_CONTAINERS, MAX_VALUE_DEPTH } from "../../core/limits.ts";

/**
 * One level of a value has at most three levels of JSON, those of a Map: `{"value":[[key, value]]}`. The other levels are for what is
 * around the value.
 */
const MAX_JSON_DEPTH = 3 * MAX_VALUE_DEPTH + 20;

/** `what` begins the sentence of a failure: "The line", "The body of the request". */
export function parseJson(text: string, what: string): { readonly ok: true; readonly json: unknown } | Failure {
  const tooMuch = excess(text);
  if (tooMuch !== undefined) return failure("limit", `${what} ${tooMuch}`);
  try {
    return { ok: true, json: JSON.parse(text) as unknown };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return failure("invalid", `${what} is not JSON: ${error.message.toWellFormed()}.`);
  }
}

/**
 * What there is too much of, found in one pass; undefined: nothing. For a text that is no JSON the result does not matter, because the
 * parser refuses the text.
 */
function excess(text: string): string | undefined {
  let containers = 0;
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x22: // "
        i = endOfString(text, i);
        break;
      case 0x5b: // [
      case 0x7b: // {
        if (++containers > MAX_JSON_CONTAINERS)
          return `has more than ${MAX_JSON_CONTAINERS} objects and arrays, which is the limit.`;
        if (++depth > MAX_JSON_DEPTH) return `is nested deeper than ${MAX_JSON_DEPTH} levels, which is the limit.`;
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth--;
        break;
      default:
    }
  }
  return undefined;
}

/** The index of the closing quote, or of the end of the text. */
function endOfString(text: string, start: number): number {
  let quote = text.indexOf('"', start + 1);
  while (quote !== -1 && isEscaped(text, quote)) quote = text.indexOf('"', quote + 1);
  return quote === -1 ? text.length : quote;
}

/** Whether an odd number of backslashes stands before the quote. Each backslash is looked at once, for the quote after it. */
function isEscaped(text: string, quote: number): boolean {
  let before = quote;
  while (text.charCodeAt(before - 1) === 0x5c) before--;
  return (quote - before) % 2 === 1;
}
