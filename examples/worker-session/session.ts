/**
 * One WebSocket to a Cairn database for a program that has many requests at a time: requests that come together travel in one frame, and
 * their writes are one group commit. It opens the socket with the first request, renews its token in place, opens another socket when one
 * breaks, and closes it when nobody asks for anything any more. The protocol is docs/spec/socket.md; this file uses its text frames.
 *
 * What it promises: a request is answered, or rejected, within ANSWER_WITHIN_MS. Reads are sent again after a break. A write that may have
 * been applied is never sent again: it is rejected with the code "unknown".
 */

/** Requests as in docs/spec/socket.md, without an id: `{ read: [{ key: ["a"] }] }`, `{ write: { mutations: [...] } }`. */
export type Request = { readonly read: readonly object[] } | { readonly write: object };

export interface Entry {
  readonly key: unknown;
  readonly value: unknown;
  readonly versionstamp: string;
}

export interface Answer {
  readonly id: number;
  /** For each range that was asked for, its entries. */
  readonly read?: readonly (readonly Entry[])[];
  readonly write?: { readonly ok: boolean; readonly versionstamp?: string; readonly failedChecks?: readonly number[] };
  readonly error?: { readonly code: string; readonly message: string };
}

/** `code`: one of the server's (docs/spec/socket.md); "unknown" for a write that may have been applied; "unavailable" for what was not done. */
export class SessionError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** Within the limits of one socket: docs/limits.md. */
const MAX_FRAME_REQUESTS = 256;
const MAX_IN_FLIGHT = 1_024;
const MAX_WAITING = 10_000;

const ANSWER_WITHIN_MS = 10_000;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;
const RENEW_BEFORE_END_MS = 5 * 60_000;
const RENEW_AGAIN_MS = 10_000;
/** An outgoing socket keeps a Durable Object awake, which costs: so it is closed after a minute without requests. */
const IDLE_MS = 60_000;

/** Requests that stay together in one frame. */
interface Batch {
  readonly requests: readonly Request[];
  readonly answers: Answer[];
  missing: number;
  readonly resolve: (answers: readonly Answer[]) => void;
  readonly reject: (error: SessionError) => void;
}

/** Of the answer to an exchange. */
interface Metadata {
  readonly databaseId: string;
  readonly token: string;
  /** RFC 3339. */
  readonly expiresAt: string;
}

interface Access {
  readonly token: string;
  readonly socketUrl: string;
  readonly renewAt: number;
}

export class CairnSession {
  readonly #connectUrl: string;
  readonly #accessToken: string;
  /** Not sent yet, or to be sent again. */
  #waiting: Batch[] = [];
  /** Sent and not answered, by id. */
  readonly #inFlight = new Map<number, { readonly batch: Batch; readonly index: number }>();
  #socket: WebSocket | undefined;
  #access: Access | undefined;
  #lastId = 0;
  #isConnecting = false;
  #flushIsPlanned = false;
  #failures = 0;
  #renewal: number | null = null;
  #idle: number | null = null;

  constructor(connectUrl: string, accessToken: string) {
    this.#connectUrl = connectUrl;
    this.#accessToken = accessToken;
  }

  /** Carries the requests out in order, in one frame: a read sees the writes before it. Resolves with their answers in the same order. */
  send(...requests: readonly Request[]): Promise<readonly Answer[]> {
    if (this.#waiting.length >= MAX_WAITING) {
      return Promise.reject(new SessionError("unavailable", "Too many requests wait for the database."));
    }
    return new Promise((resolve, reject) => {
      const deadline = setTimeout(() => this.#giveUp(batch), ANSWER_WITHIN_MS);
      const batch: Batch = {
        requests,
        answers: [],
        missing: requests.length,
        resolve: (answers) => {
          clearTimeout(deadline);
          resolve(answers);
        },
        reject: (error) => {
          clearTimeout(deadline);
          reject(error);
        },
      };
      this.#waiting.push(batch);
      this.#stayOpen();
      this.#flushSoon();
    });
  }

  /** At the end of this turn, so that everything that is asked for in it goes in one frame. */
  #flushSoon(): void {
    if (this.#flushIsPlanned) return;
    this.#flushIsPlanned = true;
    queueMicrotask(() => {
      this.#flushIsPlanned = false;
      if (this.#socket === undefined) void this.#connect();
      else this.#flush(this.#socket);
    });
  }

  #flush(socket: WebSocket): void {
    for (;;) {
      const frame: object[] = [];
      for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
        const length = frame.length + next.requests.length;
        const room = Math.min(MAX_FRAME_REQUESTS, MAX_IN_FLIGHT - this.#inFlight.size + frame.length);
        if (length > room && frame.length + this.#inFlight.size > 0) break;
        this.#waiting.shift();
        for (const [index, request] of next.requests.entries()) {
          const id = this.#nextId();
          this.#inFlight.set(id, { batch: next, index });
          frame.push({ id, values: "plain", ...request });
        }
      }
      if (frame.length === 0) return;
      try {
        socket.send(JSON.stringify({ requests: frame }));
      } catch {
        // It has just closed, and its event is on the way.
        this.#closed(socket, 1006, "");
        return;
      }
    }
  }

  /** Ids are of 32 bits; one that is in use must not be used again. */
  #nextId(): number {
    do this.#lastId = (this.#lastId % 0xffff_ffff) + 1;
    while (this.#inFlight.has(this.#lastId));
    return this.#lastId;
  }

  /** Until there is a socket, or nothing that waits for one. `atOnce`: the first time without a pause. */
  async #connect(atOnce = false): Promise<void> {
    if (this.#isConnecting) return;
    this.#isConnecting = true;
    if (!atOnce) await this.#pause();
    while (this.#socket === undefined && this.#waiting.length > 0) {
      try {
        await this.#tryToConnect();
      } catch (error) {
        // Of the exchange: the token is wrong, or there is no such database. Everything else may be over at the next try.
        if (error instanceof SessionError) this.#rejectWaiting(error);
        else console.error(`No session yet: ${String(error)}`);
        this.#failures += 1;
        await this.#pause();
      }
    }
    this.#isConnecting = false;
  }

  /** None before the first try. Of random length, so that many who lost the same server do not come back together. */
  async #pause(): Promise<void> {
    if (this.#failures === 0) return;
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.#failures - 1));
    await new Promise((resolve) => setTimeout(resolve, longest * (0.5 + Math.random() / 2)));
  }

  async #tryToConnect(): Promise<void> {
    if (this.#access === undefined || Date.now() >= this.#access.renewAt) this.#access = await this.#exchange();
    const { socketUrl, token } = this.#access;
    // No AbortSignal.timeout: that would end the socket, too.
    const controller = new AbortController();
    const deadline = setTimeout(() => controller.abort(), ANSWER_WITHIN_MS);
    try {
      const headers = { upgrade: "websocket", "sec-websocket-protocol": "cairn.v1", authorization: `Bearer ${token}` };
      const response = await fetch(socketUrl, { headers, signal: controller.signal });
      const { webSocket, status } = response;
      if (webSocket === null) throw new Error(`${status} instead of a WebSocket: ${await response.text()}`);
      this.#listen(webSocket);
    } finally {
      clearTimeout(deadline);
    }
  }

  #listen(socket: WebSocket): void {
    this.#socket = socket;
    let why = "";
    socket.addEventListener("message", ({ data }) => {
      if (socket !== this.#socket || typeof data !== "string") return;
      // What the server sends is what docs/spec/socket.md says.
      const { responses } = JSON.parse(data) as { readonly responses: readonly Answer[] };
      for (const response of responses) {
        if (response.id === 0) why = response.error?.message ?? "";
        else this.#answered(response);
      }
      this.#flush(socket);
    });
    socket.addEventListener("close", ({ code }) => this.#closed(socket, code, why));
    socket.addEventListener("error", () => this.#closed(socket, 1006, ""));
    socket.accept();
    this.#planRenewal();
    this.#flush(socket);
  }

  #answered(answer: Answer): void {
    this.#failures = 0;
    const asked = this.#inFlight.get(answer.id);
    if (asked === undefined) return;
    this.#inFlight.delete(answer.id);
    const { batch, index } = asked;
    batch.answers[index] = answer;
    batch.missing -= 1;
    if (batch.missing > 0) return;
    const failed = batch.answers.find(({ error }) => error !== undefined)?.error;
    if (failed === undefined) batch.resolve(batch.answers);
    else batch.reject(new SessionError(failed.code, failed.message));
  }

  #closed(socket: WebSocket, code: number, why: string): void {
    if (socket !== this.#socket) return;
    this.#socket = undefined;
    clearTimeout(this.#renewal);
    const lost = new Set([...this.#inFlight.values()].map(({ batch }) => batch));
    this.#inFlight.clear();
    const again: Batch[] = [];
    for (const batch of lost) {
      if (writes(batch)) batch.reject(unknownOutcome());
      else again.push(Object.assign(batch, { answers: [], missing: batch.requests.length }));
    }
    this.#waiting.unshift(...again);
    // What is wrong with the token, its rights, the database or this program does not change by trying again.
    if (code === 4400) this.#rejectWaiting(new SessionError("invalid", why));
    if (code === 4403) this.#rejectWaiting(new SessionError("forbidden", why));
    if (code === 4404) this.#rejectWaiting(new SessionError("not-found", why));
    if (code === 4401) this.#access = undefined;
    const atOnce = code === 1012 && this.#failures === 0;
    this.#failures = this.#waiting.length === 0 ? 0 : this.#failures + 1;
    void this.#connect(atOnce);
  }

  #giveUp(batch: Batch): void {
    const isWaiting = this.#waiting.includes(batch);
    this.#waiting = this.#waiting.filter((other) => other !== batch);
    batch.reject(!isWaiting && writes(batch) ? unknownOutcome() : unreached());
    if (isWaiting || this.#socket === undefined) return;
    // What gives no answer in this time gives none any more.
    for (const [id, asked] of this.#inFlight) if (asked.batch === batch) this.#inFlight.delete(id);
    const socket = this.#socket;
    this.#closed(socket, 1006, "");
    socket.close();
  }

  #rejectWaiting(error: SessionError): void {
    for (const batch of this.#waiting.splice(0)) batch.reject(error);
  }

  /** An access token in, a data token out: docs/kv-connect.md. */
  async #exchange(): Promise<Access> {
    const answer = await fetch(this.#connectUrl, {
      method: "POST",
      headers: { authorization: `Bearer ${this.#accessToken}` },
      body: JSON.stringify({ supportedVersions: [3] }),
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    if (answer.status === 401 || answer.status === 403 || answer.status === 404) {
      throw new SessionError(answer.status === 404 ? "not-found" : "unauthenticated", await answer.text());
    }
    if (!answer.ok) throw new Error(await answer.text());
    const { databaseId, token, expiresAt } = await answer.json<Metadata>();
    const server = this.#connectUrl.replace(/\/databases\/.*$/, "");
    const lasts = Date.parse(expiresAt) - Date.now();
    const renewAt = Date.now() + Math.max(lasts - RENEW_BEFORE_END_MS, lasts / 2);
    return { token, socketUrl: `${server}/api/databases/${databaseId}/socket`, renewAt };
  }

  #planRenewal(): void {
    clearTimeout(this.#renewal);
    const at = this.#access?.renewAt ?? 0;
    this.#renewal = setTimeout(() => void this.#renew(), Math.max(0, at - Date.now()));
  }

  /** In place: what is under way goes on. If it fails, the server closes the socket when its token ends, and another one is opened. */
  async #renew(): Promise<void> {
    const socket = this.#socket;
    if (socket === undefined) return;
    try {
      this.#access = await this.#exchange();
    } catch {
      this.#renewal = setTimeout(() => void this.#renew(), RENEW_AGAIN_MS);
      return;
    }
    if (socket !== this.#socket) return;
    socket.send(JSON.stringify({ id: this.#nextId(), token: this.#access.token }));
    this.#planRenewal();
  }

  #stayOpen(): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      const socket = this.#socket;
      if (socket === undefined) return;
      this.#closed(socket, 1000, "");
      socket.close(1000);
    }, IDLE_MS);
  }
}

function writes({ requests }: Batch): boolean {
  return requests.some((request) => "write" in request);
}

function unreached(): SessionError {
  return new SessionError("unavailable", `The database did not answer within ${ANSWER_WITHIN_MS / 1000} seconds.`);
}

function unknownOutcome(): SessionError {
  return new SessionError(
    "unknown",
    "The connection broke before the answer came: it is not known whether this was done.",
  );
}
