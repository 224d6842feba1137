/** Deletes by selector: `POST entries:delete` `{"selector":{"prefix":["users"]},"dryRun":true}`. */
import { flagOf, objectOf, onlyMembers, reading } from "../../codec/json-notation/members.ts";
import { rangeOfSelector } from "../../codec/json-notation/selector.ts";
import { failure, isFailure } from "../../core/errors.ts";
import { MAX_REST_KEYS_BODY_BYTES } from "../../core/limits.ts";
import { versionstampHex } from "../../core/versionstamp.ts";
import { readJsonBody } from "../http/request-body.ts";
import { jsonAnswer } from "../http/answers.ts";
import type { Operation } from "../http/call.ts";
import { begun } from "./jobs.ts";

const EXAMPLE = '{"selector":{"prefix":["users"]},"dryRun":true}';

export const deleteEntries: Operation = {
  access: "write",
  query: [],
  async answer(call) {
    const body = await readJsonBody(call.request, MAX_REST_KEYS_BODY_BYTES, call);
    if (isFailure(body)) return body;
    const asked = reading(() => {
      const json = objectOf(body.value, "The body", EXAMPLE);
      onlyMembers(json, ["selector", "dryRun"], "The body");
      const selector = objectOf(json["selector"], "selector", '{"prefix":["users"]}');
      return { selector, dryRun: flagOf(json, "The body", "dryRun") };
    });
    if (isFailure(asked)) return asked;
    const { selector, dryRun } = asked;
    // A mistake in a name must not delete everything.
    const unknown = Object.keys(selector).find((name) => !["prefix", "start", "end"].includes(name));
    if (unknown !== undefined || Object.keys(selector).length === 0) {
      return failure(
        "invalid",
        'selector must name prefix, start or end, and nothing else; {"prefix":[]} names every entry.',
      );
    }
    const range = rangeOfSelector(selector, "selector.");
    if (!range.ok) return range;
    const answer = await call.stub.deleteEntries(call.grant, range.range, dryRun);
    if (isFailure(answer)) return answer;
    if ("job" in answer) return begun(call, answer.job);
    return jsonAnswer(JSON.stringify({ count: answer.count, versionstamp: versionstampHex(answer.version) }));
  },
};
