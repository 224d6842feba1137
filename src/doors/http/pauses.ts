/**
 * Pauses in work that takes long: one thread answers everybody, so others get their turn while a long text is made. A pause comes after
 * so many characters, which take some milliseconds.
 */
import type { Ration } from "./ration.ts";

const CHARACTERS_BETWEEN = 256 * 1024;

export class Pauses {
  readonly #ration: Pick<Ration, "pause">;
  #made = 0;

  constructor(ration: Pick<Ration, "pause">) {
    this.#ration = ration;
  }

  /** So many characters were made. Whether a pause is due, which the caller then awaits. */
  isDue(characters: number): boolean {
    this.#made += characters;
    return this.#made >= CHARACTERS_BETWEEN;
  }

  pause(): Promise<void> {
    this.#made = 0;
    return this.#ration.pause();
  }
}
