/**
 * How many requests and connections the front lets through to the server behind it at the same time. workerd ends when it has no
 * descriptor left to accept a connection with, and takes everybody's requests with it.
 */
import { execFileSync } from "node:child_process";
import type { ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import type { Guard } from "./guard.ts";

/** workerd takes two descriptors for a connection, so this leaves it a fifth for its databases. */
const PLACES_PER_DESCRIPTOR = 0.4;

/** What workerd and the front have open before anybody connects, with room. */
const OWN_DESCRIPTORS = 100;

export class Places {
  readonly #count: number;
  #taken = 0;

  constructor(count: number) {
    this.#count = count;
  }

  /** As many as the server process can take, which inherits this one's limit of open files. */
  static forDescriptors(): Places {
    const limit = Number(execFileSync("/bin/sh", ["-c", "ulimit -n"], { encoding: "utf8" }));
    // It may be "unlimited".
    if (Number.isNaN(limit)) return new Places(Number.POSITIVE_INFINITY);
    return new Places(Math.max(1, Math.floor((limit - OWN_DESCRIPTORS) * PLACES_PER_DESCRIPTOR)));
  }

  /** Whether there was one; it is the holder's until its "close". */
  take(guard: Guard, holder: Socket | ServerHttp2Stream): boolean {
    if (this.#taken >= this.#count) return false;
    this.#taken += 1;
    guard.once(holder, "close", () => (this.#taken -= 1));
    return true;
  }
}
