/** The management API of a server process on this machine, asked as often as it takes while that process starts. */
import { once } from "node:events";
import { Agent, request, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { failure, type Failure } from "../core/errors.ts";
import { requestOptions, type ProcessAddress } from "./process-address.ts";

/** Where the process answers; undefined while it is being started again. */
export type RunningAt = () => ProcessAddress | undefined;

export interface ApiAnswer {
  readonly status: number;
  /** Without members when it is no JSON object. */
  readonly body: object;
}

const ATTEMPTS = 50;
const PAUSE_MS = 200;

/** A process that takes a request and never answers is asked again. */
const ANSWER_MS = 30_000;

/** Of its own, because node's may send requests through the environment's proxy, for which this machine is another one. */
const agent = new Agent();

export class ApiClient {
  readonly #runningAt: RunningAt;

  constructor(runningAt: RunningAt) {
    this.#runningAt = runningAt;
  }

  /**
   * A request that may be repeated: it is sent again when nothing or a 503 came back. `unavailable` after ten seconds of that.
   */
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

  /** Undefined when no answer came, or not all of it. */
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
      // The event's only argument.
      const [answer] = (await once(sent, "response")) as [IncomingMessage];
      return { status: answer.statusCode ?? 0, body: objectOf(await text(answer)) };
    } catch (error) {
      // The connection could not be made, broke, or was given up.
      if (error instanceof Error && ("code" in error || error.name === "AbortError")) return undefined;
      throw error;
    }
  }
}

/** The text at this path of an answer. Throws when there is none: the API's answers have their shape. */
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
