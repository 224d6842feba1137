/** What a door has learned of a credential, for `REMEMBERED_GRANT_MS`. The object that is called with it refuses what was revoked since. */
import { asUnixMs, type Clock, type UnixMs } from "../../core/clock.ts";
import { REMEMBERED_GRANT_MS } from "../../core/limits.ts";

export class Remembered<T> {
  readonly #clock: Clock;
  readonly #most: number;
  /** The oldest first. */
  readonly #known = new Map<string, { readonly value: T; readonly until: UnixMs }>();

  constructor(clock: Clock, most: number) {
    this.#clock = clock;
    this.#most = most;
  }

  find(name: string): T | undefined {
    const now = this.#clock.now();
    const found = this.#known.get(name);
    // A clock that was set back makes what is remembered no older.
    if (found !== undefined && now < found.until && now >= found.until - REMEMBERED_GRANT_MS) return found.value;
    this.#known.delete(name);
    return undefined;
  }

  add(name: string, value: T): void {
    this.#known.delete(name);
    this.#known.set(name, { value, until: asUnixMs(this.#clock.now() + REMEMBERED_GRANT_MS) });
    if (this.#known.size <= this.#most) return;
    for (const oldest of this.#known.keys()) {
      this.#known.delete(oldest);
      return;
    }
  }
}
