/** The headers of the answer to a failure, at every door and for every form of body. */
import type { Failure } from "../../core/errors.ts";
import { NOT_FOR_OTHER_PAGES } from "./cors.ts";

export function refusalHeaders({ code }: Failure): Readonly<Record<string, string>> {
  switch (code) {
    case "unauthenticated":
      return { "www-authenticate": "Bearer" };
    case "unavailable":
      return { "retry-after": "1" };
    case "forbidden-origin":
      return NOT_FOR_OTHER_PAGES;
    default:
      return {};
  }
}
