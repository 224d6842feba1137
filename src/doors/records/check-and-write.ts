/**
 * `POST records/{key}:checkAndWrite` writes if there is no record, or one whose age fulfils the condition. The database's object compares
 * and writes in one step.
 */
import { refuse } from "../../codec/json-notation/members.ts";
import { described } from "../../codec/json-notation/place.ts";
import type { JsonObject } from "../../codec/json-notation/types.ts";
import { AGE_OPERATORS, type AgeCondition } from "../../codec/record.ts";
import { encodeAtomicWrite } from "../../codec/datapath-requests.ts";
import { unreachable } from "../../core/assert.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import type { LostTurn } from "../../core/operations.ts";
import type { Operation } from "../http/call.ts";
import { bodyWithValue, setOf } from "./body.ts";
import { keyOfCall } from "./key.ts";
import { ONE_RECORD } from "./record.ts";
import { written } from "./written.ts";

const EXAMPLE = '{"value":{"index":1},"operator":"<","unixtimeMs":1795694400000}';

export const checkAndWrite: Operation = {
  access: "write",
  query: ONE_RECORD,
  async answer(call) {
    const key = keyOfCall(call);
    if (isFailure(key)) return key;
    const members = ["value", "operator", "unixtimeMs", "minutesToExpire"];
    const asked = await bodyWithValue(call, members, EXAMPLE, (body) => ({
      condition: conditionOf(body),
      write: { checks: [], mutations: [setOf(key, body, call.clock.now())], enqueues: [] },
    }));
    if (isFailure(asked)) return asked;
    const outcome = await call.stub.writeAtTurn(call.grant, encodeAtomicWrite(asked.write), asked.condition);
    if (isFailure(outcome)) return outcome;
    return outcome.written === null ? lost(outcome.why, asked.condition) : written(outcome.written);
  },
};

/** Throws `Refused`. */
function conditionOf({ operator, unixtimeMs }: JsonObject): AgeCondition {
  const known = AGE_OPERATORS.find((one) => one === operator);
  if (known === undefined) {
    return refuse(
      `operator is ${described(operator)}; it must be ${AGE_OPERATORS.map((one) => `"${one}"`).join(", ")}.`,
    );
  }
  if (typeof unixtimeMs !== "number" || !Number.isFinite(unixtimeMs)) {
    return refuse(`unixtimeMs is ${described(unixtimeMs)}; it must be milliseconds since 1970, like 1795694400000.`);
  }
  return { operator: known, unixtimeMs };
}

function lost(why: LostTurn, { operator, unixtimeMs }: AgeCondition): Failure {
  switch (why) {
    case "condition":
      return failure(
        "not-found",
        `The record is there, and its created_at is not ${operator} ${unixtimeMs}. Nothing was written.`,
      );
    case "overtaken":
      return failure("conflict", "Another request has written this key at the same moment. Nothing was written.");
    default:
      return unreachable(why);
  }
}
