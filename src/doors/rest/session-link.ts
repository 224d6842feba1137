/**
 * A watch or a feed that a request follows: the Worker's end of a socket to the database's object. It is like a client's own socket with
 * one request on it (docs/spec/socket.md), so it has the same options, limits, ends and memory.
 */
import {
  decodeServerFrame,
  encodeClientFrame,
  failureOfSocketError,
  type SentRequest,
} from "../../codec/socket-client.ts";
import { SocketField } from "../../codec/socket.ts";
import { type DatabaseStub, type ObjectSocket, watchProtocol } from "../../contracts/database.ts";
import type { Grant } from "../../contracts/grant.ts";
import { socketProtocol } from "../../contracts/socket.ts";
import type { Failure } from "../../core/errors.ts";
import type { Timers } from "../../core/timers.ts";
import { failureOfJson } from "../http/failure-of-json.ts";

/** "lost": the object went away. The reader asks again from its place. */
export type LinkEvent =
  | { readonly type: "update"; readonly body: Uint8Array }
  | { readonly type: "failure"; readonly failure: Failure }
  | { readonly type: "lost" };

/** The only request on the socket. */
const ID = 1;

/** Rejects when the object cannot be reached. */
export async function openSessionLink(
  stub: DatabaseStub,
  grant: Grant,
  request: SentRequest,
): Promise<SessionLink | Failure> {
  const headers = { upgrade: "websocket", [watchProtocol.grantHeader]: JSON.stringify(grant) };
  const response = await stub.fetch(new Request(`https://database${socketProtocol.path}`, { headers }));
  const socket = response.webSocket;
  if (socket === null || socket === undefined) return failureOfJson(await response.text());
  const link = new SessionLink(socket);
  socket.send(encodeClientFrame([{ ...request, id: ID }]));
  return link;
}

export class SessionLink {
  readonly #socket: ObjectSocket;
  /** Events that came and were not taken. The object sends no update before the last one is acknowledged, and nothing after a failure. */
  readonly #events: LinkEvent[] = [];
  #wake: (() => void) | undefined;
  #onEnd: () => void = () => undefined;
  #isOpen = true;

  constructor(socket: ObjectSocket) {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => {
      if (typeof data !== "string") this.#receive(new Uint8Array(data));
    });
    socket.addEventListener("close", () => this.#end({ type: "lost" }));
    socket.addEventListener("error", () => this.#end({ type: "lost" }));
    socket.accept();
  }

  /** Waits for the next event. null: none came within this time, or the link was closed. There may be only one wait at a time. */
  async next(timers: Timers, ms: number): Promise<LinkEvent | null> {
    const waiting = this.#events.shift();
    if (waiting !== undefined) return waiting;
    await new Promise<void>((resolve) => {
      const finish = (): void => {
        cancel();
        this.#wake = undefined;
        resolve();
      };
      const cancel = timers.after(ms, finish);
      this.#wake = finish;
    });
    return this.#events.shift() ?? null;
  }

  /** `listener` is called when the other side ends it. What was not taken of the last update is not to be kept then. */
  onEnd(listener: () => void): void {
    this.#onEnd = listener;
  }

  /** The last update was taken: the next one may come. */
  acknowledge(): void {
    if (this.#isOpen) this.#socket.send(encodeClientFrame([{ type: "ack", id: 0, watch: ID }]));
  }

  /** Does nothing when the link is already closed. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#socket.close(1000);
    this.#wake?.();
  }

  #receive(bytes: Uint8Array): void {
    const frame = decodeServerFrame(bytes);
    if (!frame.ok) return this.#end({ type: "failure", failure: frame });
    for (const { field, body } of frame.responses) {
      if (field === SocketField.error) return this.#end({ type: "failure", failure: failureOfSocketError(body) });
      this.#add({ type: "update", body });
    }
  }

  #end(event: LinkEvent): void {
    if (!this.#isOpen) return;
    this.close();
    this.#add(event);
    this.#onEnd();
  }

  #add(event: LinkEvent): void {
    this.#events.push(event);
    this.#wake?.();
  }
}
