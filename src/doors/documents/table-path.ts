/** The table that a path names: `tables/{app}/{table}`, each a percent-encoded segment. */
import { failure, type Failure } from "../../core/errors.ts";
import { MAX_KEY_PATH_CHARACTERS } from "../../core/limits.ts";
import type { RestCall } from "../http/call.ts";

export interface NamedTable {
  readonly appId: string;
  readonly tableId: string;
}

export function tableOfCall({ keyPath = "" }: Pick<RestCall, "keyPath">): NamedTable | Failure {
  if (keyPath.length > MAX_KEY_PATH_CHARACTERS) {
    return failure(
      "limit",
      `The path of the table has ${keyPath.length} characters; the limit is ${MAX_KEY_PATH_CHARACTERS}.`,
    );
  }
  const [app, table, ...more] = keyPath.split("/");
  if (app === undefined || table === undefined || more.length > 0) {
    return failure("invalid", "The path must name an app and a table, like tables/shop/orders.");
  }
  try {
    return { appId: decodeURIComponent(app), tableId: decodeURIComponent(table) };
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    return failure(
      "invalid",
      "The names in the path are not percent-encoded UTF-8; write them as encodeURIComponent does, like tables/caf%C3%A9/menu.",
    );
  }
}
