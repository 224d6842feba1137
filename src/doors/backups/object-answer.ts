/** What the database's object answers to a request for bytes: a failure is its JSON, with status 400. */
import type { Failure } from "../../core/errors.ts";

export async function failureIn(answer: Response): Promise<Failure | null> {
  if (answer.ok) return null;
  // Our own object made it, from a value of this type.
  const why: Failure = await answer.json();
  return why;
}
