/** A broken invariant is a bug of ours: it throws, with what was expected, and nobody catches it on purpose. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

export function assert(condition: boolean, expected: string): asserts condition {
  if (!condition) throw new InvariantError(`expected ${expected}`);
}

/** For the default branch of a switch over a closed union: a new member is a type error. */
export function unreachable(value: never): never {
  throw new InvariantError(`expected no other case, got ${String(value)}`);
}
