/** The Worker's end of a WebSocket to a database's object. `watchProtocol` in `contracts/database.ts` describes the protocol on it. */
import type { Grant } from "../../contracts/grant.ts";
import type { Failure } from "../../core/errors.ts";
import { watchProtocol, type DatabaseStub, type ObjectSocket } from "../../contracts/database.ts";
import { failureOfJson } from "../http/failure-of-json.ts";

/** "lost": the object went away, and connecting again may succeed. */
export type LinkEvent =
  | { readonly type: "output"; readonly bytes: Uint8Array }
  | { readonly type: "failure"; readonly failure: Failure }
  | { readonly type: "lost" };

/** Connects and sends the Watch message. Rejects when the object cannot be reached. */
export async function openLink(stub: DatabaseStub, grant: Grant, watch: Uint8Array): Promise<WatchLink | Failure> {
  const headers = { upgrade: "websocket", [watchProtocol.grantHeader]: JSON.stringify(grant) };
  const response = await stub.fetch(new Request(`https://database${watchProtocol.path}`, { headers }));
  const socket = response.webSocket;
  if (socket === null || socket === undefined) return failureOfJson(await response.text());
  const link = new WatchLink(socket);
  socket.send(watch);
  return link;
}

export class WatchLink {
  readonly #socket: ObjectSocket;
  /** Events that came and were not taken. The object sends no output before the last one is acknowledged, and nothing after a failure. */
  readonly #events: LinkEvent[] = [];
  #wake: (() => void) | undefined;
  #open = true;

  constructor(socket: ObjectSocket) {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => {
      if (typeof data === "string") this.#end({ type: "failure", failure: failureOfJson(data) });
      else this.#add({ type: "output", bytes: new Uint8Array(data) });
    });
    socket.addEventListener("close", () => this.#end({ type: "lost" }));
    socket.addEventListener("error", () => this.#end({ type: "lost" }));
    socket.accept();
  }

  /** The oldest event that was not taken yet. */
  take(): LinkEvent | undefined {
    return this.#events.shift();
  }

  /** Whether a failure is among the events that were not taken yet. */
  get hasFailed(): boolean {
    return this.#events.some(({ type }) => type === "failure");
  }

  /** `wake` is called once, at the next event. */
  onNextEvent(wake: (() => void) | undefined): void {
    this.#wake = wake;
  }

  /** The client has taken the last output. */
  acknowledge(): void {
    if (this.#open) this.#socket.send(watchProtocol.ack);
  }

  /** Does nothing when the link is already closed. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#socket.close(1000);
  }

  #end(event: LinkEvent): void {
    if (!this.#open) return;
    this.close();
    this.#add(event);
  }

  #add(event: LinkEvent): void {
    this.#events.push(event);
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
