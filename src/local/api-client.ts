/** The management API of a server process on this machine, asked as often as it takes while that process starts. */
import { setTimeout as sleep } from "node:timers/promises";
import { failure, type Failure } from "../core/errors.ts";

/** Where the process answers; undefined while it is being started again. */
export type ProcessUrl = () => string | undefined;

export interface ApiAnswer {
  readonly status: number;
  /** Without members when it is no JSON object. */
  readonly body: object;
}

const ATTEMPTS = 50;
const PAUSE_MS = 200;

export class ApiClient {
  readonly #processUrl: ProcessUrl;

  constructor(processUrl: ProcessUrl) {
    this.#processUrl = processUrl;
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
    const request: RequestInit = {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    };
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const answer = await this.#once(path, request);
      if (answer !== undefined && answer.status !== 503) return answer;
      await sleep(PAUSE_MS);
    }
    return failure("unavailable", `The server process does not answer ${method} ${path}.`);
  }

  async #once(path: string, request: RequestInit): Promise<ApiAnswer | undefined> {
    const url = this.#processUrl();
    if (url === undefined) return undefined;
    try {
      const answer = await fetch(`${url}${path}`, request);
      return { status: answer.status, body: objectOf(await answer.text()) };
    } catch (error) {
      // What fetch throws when the connection cannot be made or breaks.
      if (error instanceof TypeError) return undefined;
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

function objectOf(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}
