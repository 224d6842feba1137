/** The answer to a write that succeeded. */
import { type Version, versionstampHex } from "../../core/versionstamp.ts";
import { jsonAnswer } from "../http/answers.ts";

export const WRITTEN = "{}";

export function written(version: Version): Response {
  return jsonAnswer(WRITTEN, { "cairn-versionstamp": versionstampHex(version) });
}
