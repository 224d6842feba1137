/** A broken invariant is a bug of ours. The error says what was expected, and no code catches it on purpose. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

export function assert(condition: boolean, expected: string): asserts condition {
  if (!condition) throw new InvariantError(`expected ${expected}`);
}

/** For the default branch of a switch over a closed union: the compiler then refuses a union that gets a new member. */
export function unreachable(value: never): never {
  throw new InvariantError(`expected no other case, got ${String(value)}`);
}
