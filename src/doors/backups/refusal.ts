/** Failures as this door shows them: a problem, with the list of errors from which clients of the actions take the message. */
import type { Failure } from "../../core/errors.ts";
import { problem } from "../http/problem.ts";

export function refused(
  why: Failure,
  as?: readonly [status: number, title: string],
  headers?: Readonly<Record<string, string>>,
): Response {
  const { code, message } = why;
  return problem(why, {
    members: { errors: [{ code, message }] },
    ...(as === undefined ? {} : { as }),
    ...(headers === undefined ? {} : { headers }),
  });
}
