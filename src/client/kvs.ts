/**
 * TTL records from a program: the package's `cairn-kv/kvs` (docs/records.md). It needs only `fetch`, so it runs in Workers, Node,
 * Deno and browsers. It judges only what would be lost on the way to the server; the server judges everything else.
 */

/** A record that lies in a namespace is found with that namespace alone. */
interface Named {
  readonly key: string;
  readonly namespace?: string;
}

/** What a record holds: any JSON object. */
type Value = object;

interface Written extends Named {
  readonly value: Value;
  /** From now on; it may have a fraction. Without it: a day. null: never. */
  readonly minutesToExpire?: number | null;
}

export interface KvsRecord<V extends Value = Record<string, unknown>> {
  readonly value: V;
  /** When it was last written, in ISO 8601. It is never in the future. */
  readonly created_at: string;
  /** null: never. */
  readonly expired_at: string | null;
}

/** Records by their keys. */
export type KvsRecords<V extends Value = Record<string, unknown>> = Readonly<Record<string, KvsRecord<V>>>;

export interface KvsPage<V extends Value = Record<string, unknown>> {
  readonly item: KvsRecords<V>;
  readonly isMoreResults: boolean;
  /** The `startCursor` of the next page. null: there is none. */
  readonly endCursor: string | null;
}

/** What a write or a delete answers. */
export type KvsDone = Readonly<Record<string, never>>;

export interface Kvs {
  /** The record, as `{ [key]: record }`; `{}` where there is none. Of several keys, at most 100, all from one snapshot. */
  get<V extends Value = Record<string, unknown>>(
    asked: Named | { readonly keys: readonly string[]; readonly namespace?: string },
  ): Promise<KvsRecords<V>>;
  /** `ifAbsent`: writes only where there is no record, and otherwise throws with the status 409. */
  write(record: Written & { readonly ifAbsent?: boolean }): Promise<KvsDone>;
  delete(record: Named): Promise<KvsDone>;
  /**
   * Writes when there is no record, or `created_at` `operator` `unixtimeMs` holds. Throws with the status 404 where it does not hold, and
   * with 409 where somebody else wrote at the same moment. Nothing was written then.
   */
  checkAndWrite(
    record: Written & { readonly operator: "=" | "<" | "<=" | ">" | ">="; readonly unixtimeMs: number },
  ): Promise<KvsDone>;
  /** In the order of the keys, from `startKey` on and before `stopKey`, 30 at a time. */
  list<V extends Value = Record<string, unknown>>(asked?: {
    readonly startKey?: string | null;
    readonly stopKey?: string | null;
    readonly startCursor?: string | null;
    readonly pageSize?: number;
    readonly namespace?: string;
  }): Promise<KvsPage<V>>;
  /** Deletes all records of the namespace, and nothing else. */
  clear(asked?: { readonly namespace?: string }): Promise<KvsDone>;
}

export interface KvsOptions {
  /** The connect URL of the database, as the server prints it. Without it: the environment variable CAIRN_DATABASE_URL. */
  readonly url?: string;
  /** An access token or a data token. Without it: the environment variable CAIRN_TOKEN. */
  readonly token?: string;
  /** For every call that names none. Without it: records of no namespace. */
  readonly namespace?: string;
  /** How long a call waits for its answer: 30,000 without it. */
  readonly timeoutMs?: number;
}

/**
 * What every call throws. `status`: 400 the arguments are wrong; 401 and 403 the token does not allow it; 404 the condition does not hold;
 * 409 somebody else wrote; 500 and above: try again. A call that got no answer has 503, and may have been carried out.
 */
export class KvsError extends Error {
  readonly status: number;
  /** The server's word for it, like "conflict". */
  readonly code: string;

  constructor(status: number, code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.name = "KvsError";
    this.status = status;
    this.code = code;
  }
}

export const URL_VARIABLE = "CAIRN_DATABASE_URL";
export const TOKEN_VARIABLE = "CAIRN_TOKEN";

const DEFAULT_TIMEOUT_MS = 30_000;

/** The connect URL that the server prints, or the address of the database in the API. In a browser the host may be left out. */
const DATABASE_URL = /^(https?:\/\/[^/?#]+(?:\/[^?#]*?)?)?(?:\/v2|\/api)?\/databases\/([^/?#]+)(?:\/connect)?\/?$/;

/** Segments of a path that every client takes away. */
const DOTS = /^\.\.?$/;

/** Needs neither the URL nor the token yet: they are read at each call. */
export function createKvs(options: KvsOptions = {}): Kvs {
  /** `path`: what follows `records`. */
  const ask = async <Answer>(method: string, path: string, query: Query, body?: object): Promise<Answer> => {
    const { namespace = options.namespace, ...others } = query;
    const url = `${addressOf(options)}${path}${textOfQuery({ ...others, namespace })}`;
    const text = body === undefined ? undefined : textOfBody(body);
    const authorization = `Bearer ${tokenOf(options)}`;
    const headers = { authorization, ...(text === undefined ? {} : { "content-type": "application/json" }) };
    const signal = AbortSignal.timeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    return answerOf<Answer>(async () =>
      fetch(url, { method, headers, signal, ...(text === undefined ? {} : { body: text }) }),
    );
  };
  return {
    // What is wrong with the arguments rejects the promise, like everything else.
    get: async (asked) => {
      checkObject(asked);
      if (!("keys" in asked) || asked.keys === undefined) return ask("GET", ...placeOf(asked, ""));
      const { keys, namespace } = asked;
      return ask("POST", ":get", { namespace }, { keys });
    },
    write: async (record) => {
      checkObject(record);
      const { value, minutesToExpire, ifAbsent } = record;
      return ask("PUT", ...placeOf(record, ""), { value, minutesToExpire, ifAbsent });
    },
    delete: async (record) => {
      checkObject(record);
      return ask("DELETE", ...placeOf(record, ""));
    },
    checkAndWrite: async (record) => {
      checkObject(record);
      const { value, minutesToExpire, operator, unixtimeMs } = record;
      return ask("POST", ...placeOf(record, ":checkAndWrite"), { value, minutesToExpire, operator, unixtimeMs });
    },
    list: async (asked = {}) => {
      checkObject(asked);
      const { startKey, stopKey, startCursor, pageSize, namespace } = asked;
      return ask("GET", "", { startKey, stopKey, startCursor, pageSize, namespace });
    },
    clear: async (asked = {}) => {
      checkObject(asked);
      const { namespace } = asked;
      let startCursor: string | null = null;
      do {
        const cleared: { readonly endCursor: string | null } = await ask("POST", ":clear", { namespace, startCursor });
        startCursor = cleared.endCursor;
      } while (startCursor !== null);
      return {};
    },
  };
}

/** Reads its address and its token from the environment. */
export const kvs: Kvs = createKvs();

/** undefined and null are left out. */
type Query = Readonly<Record<string, string | number | null | undefined>>;

/** Programs in JavaScript may pass anything. */
function checkObject(argument: unknown): void {
  if (typeof argument === "object" && argument !== null) return;
  throw invalid(`The argument is ${nameOf(argument)}; it must be an object, like { key: "a" }.`);
}

/** The path of a record behind `records`, and its query. */
function placeOf(
  { key, namespace }: { readonly key?: unknown; readonly namespace?: string },
  action: string,
): [path: string, query: Query] {
  if (typeof key !== "string") throw invalid(`key is ${nameOf(key)}; it must be a string.`);
  if (DOTS.test(key)) return [action, { key, namespace }];
  return [`/${encoded(key, "key")}${action}`, { namespace }];
}

function textOfQuery(query: Query): string {
  const parts = Object.entries(query).flatMap(([name, value]) =>
    value === undefined || value === null ? [] : [`${name}=${encoded(`${value}`, name)}`],
  );
  return parts.length === 0 ? "" : `?${parts.join("&")}`;
}

function encoded(text: string, name: string): string {
  try {
    return encodeURIComponent(text);
  } catch (error) {
    throw invalid(`${name} has half of a surrogate pair, which is no character and cannot be stored.`, error);
  }
}

/** JSON has no word for some values, and would leave them out or write null. They are refused instead. */
function textOfBody(body: object): string {
  /** Where each object stands in the body. */
  const places = new WeakMap<object, string>();
  try {
    return JSON.stringify(body, function (this: Readonly<Record<string, unknown>>, name: string, value: unknown) {
      const place = placeIn(places.get(this), this, name);
      const given = this[name];
      if (isLost(given, value)) throw invalid(`${place} is ${nameOf(given)}, which JSON cannot say.`);
      if (typeof value === "object" && value !== null) places.set(value, place);
      return value;
    });
  } catch (error) {
    throw error instanceof KvsError ? error : invalid("value cannot be written as JSON.", error);
  }
}

/** `outer`: where the object or array stands. undefined: it is around the body. */
function placeIn(outer: string | undefined, container: object, name: string): string {
  if (outer === undefined) return "";
  if (Array.isArray(container)) return `${outer}[${name}]`;
  return outer === "" ? name : `${outer}.${name}`;
}

/** `value`: what would be written of what was given. */
function isLost(given: unknown, value: unknown): boolean {
  if (typeof value === "number") return !Number.isFinite(value);
  if (["bigint", "function", "symbol"].includes(typeof value)) return true;
  return value instanceof Map || value instanceof Set || (given instanceof Date && value === null);
}

/** A value for a sentence. */
function nameOf(value: unknown): string {
  if (typeof value === "object" && value !== null) return `of the class ${value.constructor?.name ?? "Object"}`;
  return typeof value === "number" || value === null ? `${value}` : typeof value;
}

async function answerOf<Answer>(send: () => Promise<Response>): Promise<Answer> {
  let response: Response;
  let text: string;
  try {
    response = await send();
    text = await response.text();
  } catch (error) {
    throw new KvsError(503, "unavailable", "There was no answer. The call may have been carried out.", error);
  }
  const answer = parsed(text);
  if (response.ok && answer !== undefined) {
    // The server's answer to this call.
    return answer as Answer;
  }
  const { detail, code } = (answer ?? {}) as { readonly detail?: unknown; readonly code?: unknown };
  if (response.ok || typeof detail !== "string") {
    const status = response.ok ? 500 : response.status;
    throw new KvsError(
      status,
      "internal",
      `The answer is not from a server of Cairn, with the status ${response.status}.`,
    );
  }
  throw new KvsError(response.status, typeof code === "string" ? code : "internal", detail);
}

/** undefined: it is no JSON object. */
function parsed(text: string): object | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === "object" && json !== null ? json : undefined;
  } catch {
    return undefined;
  }
}

function addressOf({ url = environment(URL_VARIABLE) }: KvsOptions): string {
  if (url === undefined) throw missing("url", URL_VARIABLE);
  const [whole, server = "", databaseId] = DATABASE_URL.exec(url) ?? [];
  if (whole !== undefined) return `${server}/api/databases/${databaseId}/records`;
  throw invalid(
    `url is ${JSON.stringify(url)}; it must be the connect URL of a database, like http://127.0.0.1:4512/databases/<id>/connect.`,
  );
}

function tokenOf({ token = environment(TOKEN_VARIABLE) }: KvsOptions): string {
  if (token === undefined || token === "") throw missing("token", TOKEN_VARIABLE);
  return token;
}

/** Node, Deno and Workers have `process.env`; browsers have no environment. */
function environment(name: string): string | undefined {
  // Its type is not known without the types of a runtime.
  const { process } = globalThis as { readonly process?: { readonly env?: Readonly<Record<string, string>> } };
  try {
    return process?.env?.[name];
  } catch (error) {
    throw invalid(`The environment variable ${name} may not be read. Pass its value to createKvs.`, error);
  }
}

function missing(option: string, variable: string): KvsError {
  return invalid(
    `There is no ${option}: pass it to createKvs({ url, token }), or set the environment variable ${variable}.`,
  );
}

function invalid(message: string, cause?: unknown): KvsError {
  return new KvsError(400, "invalid", message, cause);
}
