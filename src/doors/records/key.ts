/** Finds the record that a request names: `records/{key}`, or `records?key=…` for keys that a path cannot carry, and `?namespace=`. */
import { parentOfRecords, recordKey } from "../../codec/record.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { MAX_KEY_PATH_CHARACTERS } from "../../core/limits.ts";
import type { RestCall } from "../http/call.ts";

export const KEY_PARAMETER = "key";
export const NAMESPACE_PARAMETER = "namespace";

const TWICE = failure("invalid", `The request names a key in its path and one as ${KEY_PARAMETER}. Name one.`);

const NOT_ONE_SEGMENT = failure(
  "invalid",
  "The path has a slash behind records/ that is not part of a key: write a slash in a key as %2F, and a namespace as ?namespace=.",
);

const NOT_ENCODED = failure(
  "invalid",
  "The key in the path is not percent-encoded UTF-8; write it as encodeURIComponent does, like records/caf%C3%A9.",
);

/** The encoded beginning of the keys of the records in the request's namespace. */
export function parentOfCall({ query }: Pick<RestCall, "query">): Uint8Array | Failure {
  return parentOfRecords(query.get(NAMESPACE_PARAMETER));
}

/** The encoded key of the record that the request names. */
export function keyOfCall({ keyPath, query }: Pick<RestCall, "keyPath" | "query">): Uint8Array | Failure {
  const parent = parentOfCall({ query });
  if (isFailure(parent)) return parent;
  const inQuery = query.get(KEY_PARAMETER);
  if (keyPath === undefined) return recordKey(parent, inQuery ?? "");
  if (inQuery !== null) return TWICE;
  if (keyPath.length > MAX_KEY_PATH_CHARACTERS) {
    return failure(
      "limit",
      `The path of the key has ${keyPath.length} characters; the limit is ${MAX_KEY_PATH_CHARACTERS}.`,
    );
  }
  if (keyPath.includes("/")) return NOT_ONE_SEGMENT;
  const key = decoded(keyPath);
  return key === undefined ? NOT_ENCODED : recordKey(parent, key);
}

function decoded(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}
