/** The server process behind the front (workerd, or wrangler's development server), and how it is kept running. */
import { setTimeout as sleep } from "node:timers/promises";
import { failure, type Failure, isFailure } from "../core/errors.ts";
import type { ProcessAddress } from "./process-address.ts";

export interface Upstream {
  /** Where the process speaks HTTP/1.1. */
  readonly address: ProcessAddress;
  readonly pid: number;
  /** Why the process ended, in words. */
  readonly exited: Promise<string>;
  /** Lets requests under way finish for this long. */
  stop(graceMs: number): Promise<void>;
}

const MAX_DEATHS = 5;
const WITHIN_MS = 60_000;
const RESTART_DELAY_MS = 200;

/** Starts an upstream again when it dies, until it has died five times within a minute. */
export class KeptUpstream {
  /** Resolves only when the process has died too often, with the reason of the last death. */
  readonly givenUp: Promise<Failure>;
  readonly #giveUp: (failure: Failure) => void;
  readonly #start: () => Promise<Upstream | Failure>;
  readonly #onDeath: (reason: string) => void;
  readonly #deaths: number[] = [];
  #current: Upstream | undefined;
  #restart: Promise<void> | undefined;
  #stopping = false;

  private constructor(start: () => Promise<Upstream | Failure>, onDeath: (reason: string) => void) {
    this.#start = start;
    this.#onDeath = onDeath;
    ({ promise: this.givenUp, resolve: this.#giveUp } = Promise.withResolvers<Failure>());
  }

  /** A failure: the process could not be started even once. */
  static async start(
    start: () => Promise<Upstream | Failure>,
    onDeath: (reason: string) => void,
  ): Promise<KeptUpstream | Failure> {
    const first = await attempt(start);
    if (isFailure(first)) return first;
    const kept = new KeptUpstream(start, onDeath);
    kept.#watch(first);
    return kept;
  }

  /** The running process. undefined while there is none. */
  get current(): Upstream | undefined {
    return this.#current;
  }

  /** A start under way that takes longer than the grace is left alone: its process ends with this one. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    await Promise.race([this.#restart, sleep(graceMs)]);
    await this.#current?.stop(graceMs);
    this.#current = undefined;
  }

  #watch(upstream: Upstream): void {
    this.#current = upstream;
    void upstream.exited.then((reason) => {
      if (this.#stopping) return;
      this.#current = undefined;
      this.#restart = this.#afterDeath(reason);
    });
  }

  async #afterDeath(reason: string): Promise<void> {
    this.#onDeath(reason);
    const now = Date.now();
    this.#deaths.push(now);
    while (this.#deaths[0] !== undefined && this.#deaths[0] <= now - WITHIN_MS) this.#deaths.shift();
    if (this.#deaths.length >= MAX_DEATHS) {
      const sentence = `The server process died ${MAX_DEATHS} times within a minute. The last time: ${reason}`;
      this.#giveUp(failure("internal", sentence));
      return;
    }
    await sleep(RESTART_DELAY_MS);
    if (this.#stopping) return;
    const next = await attempt(this.#start);
    if (this.#stopping) return isFailure(next) ? undefined : next.stop(0);
    if (isFailure(next)) return this.#afterDeath(next.message);
    this.#watch(next);
  }
}

/** When the machine refuses something (no memory, a full disk), that is a failure to start like any other. */
async function attempt(start: () => Promise<Upstream | Failure>): Promise<Upstream | Failure> {
  try {
    return await start();
  } catch (error) {
    return failure("internal", `The server process could not be started: ${String(error)}`);
  }
}
