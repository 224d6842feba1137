/** How many entries a selector names: `GET count?prefix=&start=&end=`. */
import { isFailure } from "../../core/errors.ts";
import { versionstampHex } from "../../core/versionstamp.ts";
import { jsonAnswer } from "../http/answers.ts";
import type { Operation } from "../http/call.ts";
import { rangeOfQuery, SELECTOR_PARAMETERS } from "./parameters.ts";

export const countEntries: Operation = {
  access: "read",
  past: true,
  query: SELECTOR_PARAMETERS,
  async answer({ query, stub, grant }) {
    const range = rangeOfQuery(query);
    if (isFailure(range)) return range;
    const answer = await stub.countEntries(grant, range);
    if (isFailure(answer)) return answer;
    return jsonAnswer(JSON.stringify({ count: answer.count, versionstamp: versionstampHex(answer.version) }));
  },
};
