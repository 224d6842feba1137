/** Atomic writes: `POST atomic` `{"checks":[…],"mutations":[…]}`. */
import { atomicWriteOf } from "../../codec/json-notation/atomic-write.ts";
import { reading } from "../../codec/json-notation/members.ts";
import { failure, isFailure } from "../../core/errors.ts";
import { MAX_REST_WRITE_BODY_BYTES } from "../../core/limits.ts";
import { problem } from "../http/problem.ts";
import { readJsonBody } from "../http/request-body.ts";
import { jsonAnswer } from "../http/answers.ts";
import { committed } from "./answers.ts";
import type { Operation } from "../http/call.ts";
import { commit } from "../http/commit.ts";
import { notationOf, VALUES_PARAMETER } from "./parameters.ts";

const CONFLICT_PARAMETER = "conflict";

export const writeAtomically: Operation = {
  access: "write",
  query: [VALUES_PARAMETER, CONFLICT_PARAMETER],
  async answer(call) {
    const { query, request, clock } = call;
    const conflict = query.get(CONFLICT_PARAMETER) ?? "409";
    if (conflict !== "200" && conflict !== "409") {
      return failure("invalid", "conflict must be 200 or 409: the status of an answer that says which checks failed.");
    }
    const notation = notationOf(call);
    if (isFailure(notation)) return notation;
    const body = await readJsonBody(request, MAX_REST_WRITE_BODY_BYTES, call);
    if (isFailure(body)) return body;
    const form = { ...notation, name: "The body", root: "", now: clock.now() };
    const write = reading(() => atomicWriteOf(body.value, form));
    if (isFailure(write)) return write;
    const result = await commit(call, write);
    if ("code" in result) return result;
    if (result.ok) return committed(result);
    const { failedChecks } = result;
    if (conflict === "200") return jsonAnswer(JSON.stringify({ ok: false, failedChecks }));
    const which = failedChecks.map((index) => `checks[${index}]`).join(", ");
    return problem(failure("conflict", `Nothing was written, because these checks do not hold: ${which}.`), {
      members: { ok: false, failedChecks },
    });
  },
};
