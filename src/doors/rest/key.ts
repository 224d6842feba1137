/** The key that a request names: in its path, `entries/users/alice`, or as JSON, `entries?key=["users","alice"]`. */
import { keyOfNotationText } from "../../codec/json-notation/key-notation.ts";
import { keyOfPath } from "../../codec/json-notation/key-path.ts";
import type { EncodedKeyOrFailure } from "../../codec/json-notation/key-parts.ts";
import { failure } from "../../core/errors.ts";
import type { RestCall } from "../http/call.ts";

export const KEY_PARAMETER = "key";

const TWICE = failure("invalid", `The request names a key in its path and one as ${KEY_PARAMETER}. Name one.`);

const NONE = failure(
  "invalid",
  'The request names no key: put it into the path, as entries/users/alice, or into the query, as entries?key=["users","alice"].',
);

/** The encoded key. */
export function keyOfCall({ keyPath = "", query }: Pick<RestCall, "keyPath" | "query">): EncodedKeyOrFailure {
  const json = query.get(KEY_PARAMETER);
  if (json === null) return keyPath === "" ? NONE : keyOfPath(keyPath);
  return keyPath === "" ? keyOfNotationText(json, KEY_PARAMETER) : TWICE;
}
