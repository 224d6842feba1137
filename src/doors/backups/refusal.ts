/** Failures as this door shows them: a problem, with the list of errors from which clients of the actions take the message. */
import type { Failure } from "../../core/errors.ts";
import { problem, type ProblemDetails } from "../http/problem.ts";

export function refused(why: Failure, details?: Omit<ProblemDetails, "members">): Response {
  const { code, message } = why;
  return problem(why, { ...details, members: { errors: [{ code, message }] } });
}
