/**
 * What happens to a backup's requests, drawn from a seed: refused, lost before or after they were carried out, slow with commits in
 * between, the object killed before or after, and outages that last. What lies in the store is never changed by it.
 */
import {
  type Destination,
  type DestinationFailure,
  destinationFailure,
} from "../../../src/backup/destinations/destination.ts";
import { guarded } from "../guarded-destination.ts";

/** The object is gone: what it was doing comes to nothing. */
export class Killed extends Error {}

export type Random = (below: number) => number;

/** Uniform in 0..below-1, the same for the same seed. */
export function randomOf(seed: number): Random {
  let state = (Math.imul(seed, 2_654_435_761) + 12_345) >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const refusals = [
  destinationFailure("retry", "The destination is out of service."),
  destinationFailure("credentials", "The credentials have expired."),
  destinationFailure("gone", "There is no such bucket."),
];

export interface WeatherOptions {
  readonly random: Random;
  readonly now: () => number;
  /** Called while a request is under way. */
  readonly meanwhile: () => void | Promise<void>;
}

export class Weather {
  /** How often each thing happened. */
  readonly happened = new Map<string, number>();
  /** One request in so many meets something; 0: none does. */
  badness = 0;
  readonly #options: WeatherOptions;
  #downUntil = -Infinity;
  #refusal = refusals[0];
  /** Whose requests are still carried out; another one is set when the object is killed. */
  #alive = Symbol("alive");

  constructor(options: WeatherOptions) {
    this.#options = options;
  }

  /** From now on every request is refused in the same way, until then. */
  outage(until: number): void {
    this.#note("outage");
    this.#downUntil = until;
    this.#refusal = refusals[this.#options.random(refusals.length)];
  }

  clear(): void {
    this.badness = 0;
    this.#downUntil = -Infinity;
  }

  /** Requests of the object as it was until now come to nothing, also those that are under way. */
  kill(): void {
    this.#note("kill");
    this.#alive = Symbol("alive");
  }

  readonly through = (store: Destination): Destination => {
    const mine = this.#alive;
    return guarded(store, (work) => this.#request(() => mine === this.#alive, work));
  };

  async #request<T extends { readonly ok: true }>(
    isAlive: () => boolean,
    work: () => Promise<T | DestinationFailure>,
  ): Promise<T | DestinationFailure> {
    const { random, now, meanwhile } = this.#options;
    const lives = (): void => {
      if (!isAlive()) throw new Killed();
    };
    const kind = this.badness === 0 ? 99 : random(this.badness);
    if (kind === 0) this.kill();
    lives();
    const refused = now() < this.#downUntil ? this.#refusal : undefined;
    if (refused !== undefined) return refused;
    if (kind === 1) return this.#answer("refused", refusals[random(refusals.length)]);
    if (kind === 2) {
      this.#note("slow");
      await meanwhile();
    }
    const outcome = await work();
    if (kind === 3) this.kill();
    if (kind === 4) await meanwhile();
    lives();
    if (kind === 5) return this.#answer("answer lost", refusals[0]);
    return outcome;
  }

  #answer(what: string, refusal: DestinationFailure | undefined): DestinationFailure {
    this.#note(what);
    return refusal ?? destinationFailure("retry", what);
  }

  #note(what: string): void {
    this.happened.set(what, (this.happened.get(what) ?? 0) + 1);
  }
}
