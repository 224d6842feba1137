/** One record, `GET`, `HEAD`, `PUT` and `DELETE records/{key}`, and several records from one snapshot, `POST records:get`. */
import { flagOf, arrayOf, Refused } from "../../codec/json-notation/members.ts";
import { recordKey, textOfRecord } from "../../codec/record.ts";
import { toBinaryText } from "../../core/bytes.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { MAX_RECORD_KEYS, MAX_REST_ANSWER_CHARACTERS, MAX_REST_KEYS_BODY_BYTES } from "../../core/limits.ts";
import { jsonAnswer, listOf } from "../http/answers.ts";
import type { Operation, RestCall } from "../http/call.ts";
import { commit } from "../http/commit.ts";
import { Pauses } from "../http/pauses.ts";
import { bodyOf, bodyWithValue, setOf } from "./body.ts";
import { KEY_PARAMETER, keyOfCall, NAMESPACE_PARAMETER, parentOfCall } from "./key.ts";
import { WRITTEN, written } from "./written.ts";

export const ONE_RECORD = [KEY_PARAMETER, NAMESPACE_PARAMETER];

export const getRecord: Operation = {
  access: "read",
  query: ONE_RECORD,
  past: true,
  async answer(call) {
    const key = keyOfCall(call);
    return isFailure(key) ? key : recordsOf(call, [key]);
  },
};

const WRITE = '{"value":{"index":1},"minutesToExpire":60}';

export const putRecord: Operation = {
  access: "write",
  query: ONE_RECORD,
  async answer(call) {
    const key = keyOfCall(call);
    if (isFailure(key)) return key;
    const write = await bodyWithValue(call, ["value", "minutesToExpire", "ifAbsent"], WRITE, (body) => ({
      checks: flagOf(body, "The body", "ifAbsent") ? [{ key, version: null }] : [],
      mutations: [setOf(key, body, call.clock.now())],
      enqueues: [],
    }));
    if (isFailure(write)) return write;
    const result = await commit(call, write);
    if ("code" in result) return result;
    if (result.ok) return written(result.version);
    return failure("conflict", "There is a record with this key already, and ifAbsent is true. Nothing was written.");
  },
};

export const deleteRecord: Operation = {
  access: "write",
  query: ONE_RECORD,
  async answer(call) {
    const key = keyOfCall(call);
    if (isFailure(key)) return key;
    const result = await commit(call, { checks: [], mutations: [{ type: "delete", key }], enqueues: [] });
    if ("code" in result) return result;
    return result.ok ? written(result.version) : jsonAnswer(WRITTEN);
  },
};

export const getRecords: Operation = {
  access: "read",
  query: [NAMESPACE_PARAMETER],
  past: true,
  async answer(call) {
    const parent = parentOfCall(call);
    if (isFailure(parent)) return parent;
    const keys = await bodyOf(call, MAX_REST_KEYS_BODY_BYTES, ["keys"], '{"keys":["a","b"]}', (body) => {
      const named = arrayOf(body["keys"], "keys");
      if (named.length > MAX_RECORD_KEYS) {
        throw new Refused(failure("limit", `keys has ${named.length} members; the limit is ${MAX_RECORD_KEYS}.`));
      }
      return named.map((key, index) => keyIn(parent, key, index));
    });
    return isFailure(keys) ? keys : recordsOf(call, keys);
  },
};

function keyIn(parent: Uint8Array, key: unknown, index: number): Uint8Array {
  const encoded = recordKey(parent, key, `keys[${index}]`);
  if (isFailure(encoded)) throw new Refused(encoded);
  return encoded;
}

const TOO_LONG = failure(
  "limit",
  `The records of these keys have more than ${MAX_REST_ANSWER_CHARACTERS} characters as JSON, which is the limit. Ask for fewer at a time.`,
);

/** Answers with the records of these keys, each once, from one snapshot. Keys without a record are left out. */
async function recordsOf(call: RestCall, keys: readonly Uint8Array[]): Promise<Response | Failure> {
  const each = new Map(keys.map((key) => [toBinaryText(key), key]));
  const list = listOf(await call.ration.entries(call, { command: "get", keys: [...each.values()] }));
  if (isFailure(list)) return list;
  const texts: string[] = [];
  const pauses = new Pauses(call.ration);
  let characters = 0;
  for (const entry of list.entries) {
    if (entry === null) continue;
    const text = textOfRecord(entry, call.clock.now());
    characters += text.length;
    if (characters > MAX_REST_ANSWER_CHARACTERS) return TOO_LONG;
    texts.push(text);
    if (pauses.isDue(text.length)) await pauses.pause();
  }
  return jsonAnswer(`{${texts.join(",")}}`);
}
