/**
 * Pauses in work that takes long: one thread answers everybody, so others get their turn while a long text is made. A pause comes after
 * so many characters, which take some milliseconds.
 */
import type { Timers } from "../../core/timers.ts";

const CHARACTERS_BETWEEN = 256 * 1024;

export class Pauses {
  readonly #timers: Timers;
  #made = 0;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** So many characters were made. Whether a pause is due, which the caller then awaits. */
  isDue(characters: number): boolean {
    this.#made += characters;
    return this.#made >= CHARACTERS_BETWEEN;
  }

  pause(): Promise<void> {
    this.#made = 0;
    return new Promise((resolve) => void this.#timers.after(0, resolve));
  }
}
