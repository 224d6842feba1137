/** One entry: `GET`, `HEAD`, `PUT` and `DELETE entries/{key…}`. */
import { storedOfJson, type StoredValue } from "../../codec/json-notation/stored-value.ts";
import { decodeV8 } from "../../codec/v8/codec.ts";
import { refusedAccess } from "../../contracts/grant.ts";
import { unshared } from "../../core/bytes.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { MAX_ENTRY_LINE_CHARACTERS, MAX_VALUE_BYTES } from "../../core/limits.ts";
import { Encoding, type Mutation, type StoredEntry } from "../../core/operations.ts";
import { type Version, versionstampHex } from "../../core/versionstamp.ts";
import { problem } from "../http/problem.ts";
import { readBody, readJsonBody } from "../http/request-body.ts";
import { responseOf } from "../http/answers.ts";
import { committed, entryAnswer, entryHeaders, entryOf, noEntry } from "./answers.ts";
import type { Operation, RestCall } from "../http/call.ts";
import { commit } from "../http/commit.ts";
import { KEY_PARAMETER, keyOfCall } from "./key.ts";
import { BYTES, prefers, typeOf } from "./media-types.ts";
import { EXPIRY_PARAMETER, expiryOf, notationOf, VALUES_PARAMETER } from "./parameters.ts";
import { checksOf, etagOf, holds, type Preconditions, preconditionsOf } from "./preconditions.ts";

/** How often a write whose condition needs a read is tried again when the entry changed in between. */
const MOST_TRIES = 8;

export const getEntry: Operation = {
  access: "read",
  past: true,
  query: [KEY_PARAMETER, VALUES_PARAMETER],
  async answer(call) {
    const key = keyOfCall(call);
    if (!key.ok) return key;
    const preconditions = preconditionsOf(call.request.headers);
    if (isFailure(preconditions)) return preconditions;
    const notation = notationOf(call);
    if (isFailure(notation)) return notation;
    const entry = await readEntry(call, key.bytes);
    if (isFailure(entry)) return entry;
    if (entry === null) return preconditions.match === null ? noEntry(key.bytes) : failed(null);
    const headers = entryHeaders(entry);
    if (!holds({ match: preconditions.match, noneMatch: null }, entry.version)) return failed(entry.version);
    if (!holds(preconditions, entry.version)) return new Response(null, { status: 304, headers });
    if (prefers(call.request.headers, BYTES)) return bytesOf(entry, headers);
    return responseOf(entryAnswer(entry, notation));
  },
};

export const putEntry: Operation = {
  access: "write",
  query: [KEY_PARAMETER, VALUES_PARAMETER, EXPIRY_PARAMETER],
  async answer(call) {
    const key = keyOfCall(call);
    if (!key.ok) return key;
    const expiresAt = expiryOf(call);
    if (typeof expiresAt === "object" && expiresAt !== null) return expiresAt;
    const preconditions = preconditionsOf(call.request.headers);
    if (isFailure(preconditions)) return preconditions;
    const stored = await valueOfBody(call);
    if (isFailure(stored)) return stored;
    const set = { type: "set", key: key.bytes, ...stored, expiresAt, versionstampedKey: false } as const;
    return writeOne(call, set, preconditions);
  },
};

export const deleteEntry: Operation = {
  access: "write",
  query: [KEY_PARAMETER],
  async answer(call) {
    const key = keyOfCall(call);
    if (!key.ok) return key;
    const preconditions = preconditionsOf(call.request.headers);
    if (isFailure(preconditions)) return preconditions;
    return writeOne(call, { type: "delete", key: key.bytes }, preconditions);
  },
};

async function readEntry(call: RestCall, key: Uint8Array): Promise<StoredEntry | null | Failure> {
  return entryOf(await call.ration.entries(call, { command: "get", keys: [key] }));
}

/** Undefined: the token may not read the entry, or it could not be read at that moment. */
async function presentVersion(call: RestCall, key: Uint8Array): Promise<Version | null | undefined> {
  if (refusedAccess(call.grant, "read", call.clock.now()) !== null) return undefined;
  const entry = await readEntry(call, key);
  if (isFailure(entry)) return undefined;
  return entry?.version ?? null;
}

/** 412 with the present state. null: there is no entry; undefined: the token may not know it. */
function failed(version: Version | null | undefined): Response {
  const versionstamp = version ? versionstampHex(version) : version;
  const there =
    versionstamp === undefined
      ? "the entry does not meet it"
      : versionstamp === null
        ? "there is no such entry"
        : `the entry's versionstamp is ${versionstamp}`;
  return problem(failure("conflict", `The request's condition does not hold: ${there}.`), {
    as: [412, "Precondition Failed"],
    ...(version === undefined ? {} : { members: { versionstamp } }),
    ...(version ? { headers: { etag: etagOf(version), "cairn-versionstamp": versionstampHex(version) } } : {}),
  });
}

/** The bytes of a Uint8Array, as Deno's client stored it or in a V8 value. */
function bytesOf(entry: StoredEntry, headers: Record<string, string>): Response {
  const bytes = entry.encoding === Encoding.bytes ? entry.value : v8Bytes(entry);
  if (bytes !== undefined) return new Response(unshared(bytes), { headers: { ...headers, "content-type": BYTES } });
  return problem(
    failure(
      "type-mismatch",
      `The value is no Uint8Array, so it has no form as ${BYTES}. Ask for it with Accept: application/json.`,
    ),
    { as: [406, "Not Acceptable"] },
  );
}

function v8Bytes({ encoding, value }: StoredEntry): Uint8Array | undefined {
  const decoded = encoding === Encoding.v8 ? decodeV8(value) : undefined;
  return decoded?.ok === true && decoded.value instanceof Uint8Array ? decoded.value : undefined;
}

/** The value to store, from the body. */
async function valueOfBody(call: RestCall): Promise<StoredValue | Failure> {
  const { request } = call;
  if (typeOf(request.headers.get("content-type")) === BYTES) {
    const value = await readBody(request, MAX_VALUE_BYTES, call);
    return isFailure(value) ? value : { value, encoding: Encoding.bytes };
  }
  const notation = notationOf(call);
  if (isFailure(notation)) return notation;
  const body = await readJsonBody(request, MAX_ENTRY_LINE_CHARACTERS, call);
  if (isFailure(body)) return body;
  if (body.value === undefined) {
    return failure(
      "invalid",
      'The body is empty; it must be a value, like {"type":"string","value":"a"}, or plain JSON with ?values=plain.',
    );
  }
  const stored = storedOfJson(body.value, "value", notation);
  return stored.ok ? stored.stored : stored;
}

async function writeOne(call: RestCall, mutation: Mutation, preconditions: Preconditions): Promise<Response | Failure> {
  const { key } = mutation;
  const checks = checksOf(preconditions, key);
  if (checks !== undefined) {
    const result = await commit(call, { checks, mutations: [mutation], enqueues: [] });
    if ("code" in result) return result;
    return result.ok ? committed(result) : failed(await presentVersion(call, key));
  }
  const refused = refusedAccess(call.grant, "read", call.clock.now());
  if (refused !== null) return refused;
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const entry = await readEntry(call, key);
    if (isFailure(entry)) return entry;
    const version = entry?.version ?? null;
    if (!holds(preconditions, version)) return failed(version);
    const result = await commit(call, { checks: [{ key, version }], mutations: [mutation], enqueues: [] });
    if ("code" in result) return result;
    if (result.ok) return committed(result);
  }
  return failure(
    "unavailable",
    "The entry changes so often that the request's condition could not be judged. Try again.",
  );
}
