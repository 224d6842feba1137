/** Several entries at once, from one snapshot: `POST entries:get` `{"keys":[…]}`. */
import { textOfEntry } from "../../codec/json-notation/entry-line.ts";
import { arrayOf, keyOf, objectOf, reading } from "../../codec/json-notation/members.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { MAX_REST_ANSWER_CHARACTERS, MAX_REST_KEYS, MAX_REST_KEYS_BODY_BYTES } from "../../core/limits.ts";
import { readJsonBody } from "../http/request-body.ts";
import { jsonAnswer, listOf } from "../http/answers.ts";
import type { Operation } from "../http/call.ts";
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
    const list = listOf(await call.stub.entries(call.grant, { command: "get", keys }));
    if (isFailure(list)) return list;
    const texts: string[] = [];
    let characters = 0;
    for (const entry of list.entries) {
      const text = entry === null ? "null" : textOfEntry(entry, notation).text;
      characters += text.length;
      if (characters > MAX_REST_ANSWER_CHARACTERS) return TOO_LONG;
      texts.push(text);
    }
    return jsonAnswer(`{"entries":[${texts.join(",")}]}`);
  },
};

const TOO_LONG = failure(
  "limit",
  `The entries of these keys have more than ${MAX_REST_ANSWER_CHARACTERS} characters as JSON, which is the limit. Ask for fewer at a time.`,
);

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
