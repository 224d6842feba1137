import type { Failure } from "../core/errors.ts";

/** Thrown in the transaction of a commit: the commit is undone, and refused with this failure. */
export class CommitRefusal extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.message);
    this.failure = failure;
  }
}
