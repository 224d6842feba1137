/** The answer of a reader of a backup when an object differs from the format. Such an object is named and never used. */

export interface Damage {
  readonly ok: false;
  /** The object's name, below the destination's prefix. */
  readonly object: string;
  /** The rest of a sentence that begins with the object's name. */
  readonly problem: string;
}

export function damage(object: string, problem: string): Damage {
  return { ok: false, object, problem };
}

/** Thrown inside a decoder, caught at its boundary. */
export class DamageFound extends Error {
  override readonly name = "DamageFound";
}
