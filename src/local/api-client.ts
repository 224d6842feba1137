/** A client for the management API of a server process on this machine, which asks again while that process starts. */
import { once } from "node:events";
import { Agent, request, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { failure, type Failure } from "../core/errors.ts";
import { requestOptions, type ProcessAddress } from "./process-address.ts";

/** Where the process answers. undefined while it is being started again. */
export type RunningAt = () => ProcessAddress | undefined;

export interface ApiAnswer {
  readonly status: number;
  /** Without members when the answer is no JSON object. */
  readonly body: object;
}

const ATTEMPTS = 50;
const PAUSE_MS = 200;

/** A process that takes a request and does not answer for this long is asked again. */
const ANSWER_MS = 30_000;

/**
 * A separate agent, because node's own may send requests through the environment's proxy, where this address means the proxy's machine.
 */
const agent = new Agent();

export class ApiClient {
  readonly #runningAt: RunningAt;

  constructor(runningAt: RunningAt) {
    this.#runningAt = runningAt;
  }

  /** A request that may be repeated: it is sent again when there was no answer, or a 503. `unavailable` after ten seconds of that. */
  async send(
    method: string,
    path: string,
    token: string,
    { body, idempotencyKey }: { readonly body?: object; readonly idempotencyKey?: string } = {},
  ): Promise<ApiAnswer | Failure> {
    const headers = {
      authorization: `Bearer ${token}`,
      ...(idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey }),
    };
    const sent = body === undefined ? "" : JSON.stringify(body);
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const answer = await this.#once(method, path, headers, sent);
      if (answer !== undefined && answer.status !== 503) return answer;
      await sleep(PAUSE_MS);
    }
    return failure("unavailable", `The server process does not answer ${method} ${path}.`);
  }

  /** Undefined when no complete answer came. */
  async #once(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body: string,
  ): Promise<ApiAnswer | undefined> {
    const address = this.#runningAt();
    if (address === undefined) return undefined;
    const signal = AbortSignal.timeout(ANSWER_MS);
    try {
      const sent = request({ ...requestOptions(address), path, method, headers, agent, signal });
      sent.end(body);
      // The event has only this argument.
      const [answer] = (await once(sent, "response")) as [IncomingMessage];
      return { status: answer.statusCode ?? 0, body: objectOf(await text(answer)) };
    } catch (error) {
      // The connection could not be made, broke, or was given up.
      if (error instanceof Error && ("code" in error || error.name === "AbortError")) return undefined;
      throw error;
    }
  }
}

/** The text at this path of an answer. Throws when there is none, because the API's answers have a fixed shape. */
export function textAt(body: object, ...path: readonly string[]): string {
  let value: unknown = body;
  for (const member of path)
    value = typeof value === "object" && value !== null ? Reflect.get(value, member) : undefined;
  if (typeof value !== "string") throw new Error(`expected the API's answer to have a text ${path.join(".")}`);
  return value;
}

function objectOf(json: string): object {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}
