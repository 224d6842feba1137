/** Several entries at once, from one snapshot: `POST entries:get` `{"keys":[…]}`. */
import { textOfEntry } from "../../codec/json-notation/entry-line.ts";
import type { NotationOptions } from "../../codec/json-notation/stored-value.ts";
import { arrayOf, keyOf, objectOf, reading } from "../../codec/json-notation/members.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import {
  MAX_BATCH_ANSWER_BYTES,
  MAX_BATCH_ANSWER_CHARACTERS,
  MAX_REST_ANSWER_CHARACTERS,
  MAX_REST_KEYS,
  MAX_REST_KEYS_BODY_BYTES,
  MAX_RPC_ANSWER_BYTES,
} from "../../core/limits.ts";
import { readJsonBody } from "../http/request-body.ts";
import { jsonAnswer, listOf } from "../http/answers.ts";
import type { Operation, RestCall } from "../http/call.ts";
import { Pauses } from "../http/pauses.ts";
import { notationOf, VALUES_PARAMETER } from "./parameters.ts";

export const getEntries: Operation = {
  access: "read",
  past: true,
  query: [VALUES_PARAMETER],
  async answer(call) {
    const notation = notationOf(call);
    if (isFailure(notation)) return notation;
    const body = await readJsonBody(call.request, MAX_REST_KEYS_BODY_BYTES, call);
    if (isFailure(body)) return body;
    const keys = keysOf(body.value);
    if (isFailure(keys)) return keys;
    const answer = await batchOf(call, keys, notation, SMALL);
    if (answer instanceof Response || answer.code !== "limit") return answer;
    return (await call.ration.beginBatch()) ?? batchOf(call, keys, notation, LARGE);
  },
};

interface Bounds {
  readonly maxBytes: number;
  readonly maxCharacters: number;
}

const SMALL: Bounds = { maxBytes: MAX_RPC_ANSWER_BYTES, maxCharacters: MAX_REST_ANSWER_CHARACTERS };
const LARGE: Bounds = { maxBytes: MAX_BATCH_ANSWER_BYTES, maxCharacters: MAX_BATCH_ANSWER_CHARACTERS };

async function batchOf(
  call: RestCall,
  keys: readonly Uint8Array[],
  notation: NotationOptions,
  { maxBytes, maxCharacters }: Bounds,
): Promise<Response | Failure> {
  const list = listOf(await call.ration.entries(call, { command: "get", keys, maxBytes }));
  if (isFailure(list)) return list;
  const texts: string[] = [];
  const pauses = new Pauses(call.ration);
  let characters = 0;
  for (const entry of list.entries) {
    const text = entry === null ? "null" : textOfEntry(entry, notation).text;
    characters += text.length;
    if (characters > maxCharacters) return tooLong(maxCharacters);
    texts.push(text);
    if (pauses.isDue(text.length)) await pauses.pause();
  }
  return jsonAnswer(`{"entries":[${texts.join(",")}]}`);
}

function tooLong(limit: number): Failure {
  return failure(
    "limit",
    `The entries of these keys have more than ${limit} characters as JSON, which is the limit. Ask for fewer at a time.`,
  );
}

function keysOf(json: unknown): readonly Uint8Array[] | Failure {
  return reading(() => {
    const { keys } = objectOf(json, "The body", '{"keys":[["users",1],["users",2]]}');
    const named = arrayOf(keys, "keys");
    if (named.length > MAX_REST_KEYS) {
      return failure("limit", `keys has ${named.length} members; the limit is ${MAX_REST_KEYS}.`);
    }
    return named.map((key, index) => keyOf(key, `keys[${index}]`));
  });
}
