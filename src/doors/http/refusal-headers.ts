/** The headers that a failure is answered with at every door, whatever the form of its body. */
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
