/**
 * The messages of /api for a request that its schemas refuse: one sentence that names the member, says what is wanted, and gives an
 * example. All words are in this file, and none are the validator's own. At most a part of what was sent is shown.
 */
import { z } from "zod";
import { failure, type Failure } from "../../../core/errors.ts";

/** The words for a schema: what it wants, to follow "must be", and one value that it accepts. */
interface Wanted {
  readonly what?: string;
  readonly example?: unknown;
}

const known = z.registry<Wanted>();

/** The same schema, with words for it. A schema that is derived from it by a method afterwards does not have the words. */
export function saying<Schema extends z.ZodType>(schema: Schema, wanted: Wanted): Schema {
  known.add(schema, wanted);
  return schema;
}

/** `where` is a part of the request: "the body". */
export function checked<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  where: string,
): z.output<Schema> | Failure {
  const result = schema.safeParse(value, { error: wordsOf });
  if (result.success) return result.data;
  // A failed parse has at least one issue.
  const [issue] = result.error.issues as [z.core.$ZodIssue];
  const { path, message } = deepest(issue);
  return failure("invalid", `In ${where}${path.length === 0 ? "" : `, ${nameOf(path)}`}: ${message}.`);
}

/** For a value that fits none of several kinds: what is wrong with it as the kind that it is nearest to. */
function deepest(issue: z.core.$ZodIssue): { readonly path: readonly PropertyKey[]; readonly message: string } {
  if (issue.code !== "invalid_union") return issue;
  for (const [inner] of issue.errors) {
    const isOfAnotherKind =
      inner?.path.length === 0 && (inner.code === "invalid_type" || inner.code === "invalid_value");
    if (inner === undefined || isOfAnotherKind) continue;
    const { path, message } = deepest(inner);
    return { path: [...issue.path, ...path], message };
  }
  return issue;
}

/** `destination.endpoint`, `databases[0]`. */
function nameOf(path: readonly PropertyKey[]): string {
  return path
    .map((part, index) => (typeof part === "number" ? `[${part}]` : `${index === 0 ? "" : "."}${String(part)}`))
    .join("");
}

/** The end of a sentence that begins with "In the body, name: ". A schema's own words have priority. */
function wordsOf(issue: z.core.$ZodRawIssue): string {
  const schema = issue.schema ?? issue.inst;
  const { what, example } = (schema instanceof z.core.$ZodType ? known.get(schema) : undefined) ?? {};
  const must = (wanted: string): string => {
    const shown = example === undefined ? "" : `, such as ${JSON.stringify(example)}`;
    return `${issue.input === undefined ? "is missing. It must" : "must"} be ${what ?? wanted}${shown}`;
  };
  switch (issue.code) {
    case "invalid_type":
      return must(KINDS[issue.expected] ?? "of another kind");
    case "too_small":
      return bound(issue.origin, issue.input, "at least", issue.minimum);
    case "too_big":
      return bound(issue.origin, issue.input, "at most", issue.maximum);
    case "invalid_format":
      return must(FORMATS[issue.format] ?? "of another form");
    case "invalid_value":
      return must(oneOf(issue.values));
    case "unrecognized_keys":
      return unknownMember(issue.keys, schema);
    case "invalid_union":
      return typeof issue.discriminator === "string" ? discriminated(issue) : must("of another kind");
    default:
      return must("of another kind");
  }
}

/** For an object in which one member says which kind it is. */
function discriminated({ discriminator, options, input }: Readonly<Record<string, unknown>>): string {
  // The union has found an object, and looks at this member, before it looks for the kind.
  const given: unknown = Reflect.get(input as object, discriminator as string);
  const kinds = oneOf(Array.isArray(options) ? options : []);
  return given === undefined ? `is missing. It must be ${kinds}` : `must be ${kinds}`;
}

const KINDS: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "an array",
  object: "an object",
  null: "null",
};

const FORMATS: Readonly<Record<string, string>> = {
  uuid: "a UUID",
  datetime: "a time as in RFC 3339",
  base64: "base64",
};

function bound(origin: string, input: unknown, which: "at least" | "at most", limit: number | bigint): string {
  if (origin !== "string" && origin !== "array") return `must be ${which} ${limit}, not ${String(input)}`;
  if (which === "at least" && limit === 1) return "must not be empty";
  // The value has one of these two types.
  const { length } = input as string | readonly unknown[];
  return `has ${length} ${origin === "string" ? "characters" : "items"}, ${which} ${limit} are allowed`;
}

function oneOf(values: readonly unknown[]): string {
  const shown = values.map((value) => (typeof value === "string" ? JSON.stringify(value) : String(value)));
  const last = shown.pop() ?? "nothing";
  return shown.length === 0 ? last : `${shown.join(", ")} or ${last}`;
}

function unknownMember([name = ""]: readonly string[], schema: unknown): string {
  const members = schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
  const taken = members.length === 0 ? "nothing" : members.join(", ");
  return `${JSON.stringify(name.slice(0, 50))} is not known here. It takes ${taken}`;
}
