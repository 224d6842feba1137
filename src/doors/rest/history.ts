/** The versions of a key in the database's backup, the newest first: `GET history?key=&limit=&cursor=`. */
import { isFailure } from "../../core/errors.ts";
import { MAX_RESTORE_POINTS } from "../../core/limits.ts";
import { timeOfVersion, versionstampHex } from "../../core/versionstamp.ts";
import { jsonAnswer } from "../http/answers.ts";
import type { Operation } from "../http/call.ts";
import { KEY_PARAMETER, keyOfCall } from "./key.ts";
import { numberOf } from "../http/query.ts";

const DEFAULT_LIMIT = 100;

export const historyOfKey: Operation = {
  access: "read",
  query: [KEY_PARAMETER, "limit", "cursor"],
  async answer(call) {
    const { query, stub, grant } = call;
    const key = keyOfCall(call);
    if (!key.ok) return key;
    const limit = numberOf(query, "limit", { least: 1, most: MAX_RESTORE_POINTS, fallback: DEFAULT_LIMIT });
    if (isFailure(limit)) return limit;
    const answer = await stub.keyHistory(grant, key.bytes, query.get("cursor"), limit);
    if (isFailure(answer)) return answer;
    const versions = answer.versions.map(({ version, change }) => ({
      versionstamp: versionstampHex(version),
      time: new Date(timeOfVersion(version)).toISOString(),
      change,
    }));
    const cursor = answer.next === null ? {} : { cursor: versionstampHex(answer.next) };
    return jsonAnswer(JSON.stringify({ versions, ...cursor }));
  },
};
