/** The answer to a method that an address does not take (RFC 9110, section 15.5.6), for doors whose errors are problems. */
import { failure } from "../../core/errors.ts";
import { problem } from "./problem.ts";

/**
 * `methods`: what the address takes besides OPTIONS, which every address takes. `shown`: how the door shows a failure, if its problems have
 * more members than others.
 */
export function methodNotAllowed(method: string, methods: readonly string[], shown = problem): Response {
  const allow = [...methods, "OPTIONS"].join(", ");
  return shown(failure("unsupported", `${method} is not allowed here: this address takes ${allow}.`), {
    as: [405, "Method Not Allowed"],
    headers: { allow },
  });
}
