/** A client that asks for a WebSocket. When the server process agrees, bytes pass both ways until one side ends. */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { ClientConnection } from "./client-connections.ts";
import type { Client } from "./client.ts";
import { NodeClient } from "./node-client.ts";
import type { Refusal } from "./refusals.ts";
import { RequestFacts } from "./request-facts.ts";
import type { HeaderPairs } from "./server-connection.ts";

export class UpgradeClient extends NodeClient implements Client {
  readonly connection: ClientConnection;
  readonly method: string;
  readonly path: string;
  readonly headers: HeaderPairs;
  readonly body = "upgrade";
  readonly facts: RequestFacts;
  readonly flaw: Refusal | undefined;
  readonly input: Socket;
  readonly output: Socket;

  /** `begun`: bytes that the client has already sent after its request. */
  constructor(
    connection: ClientConnection,
    request: IncomingMessage,
    begun: Buffer,
    headers: HeaderPairs,
    flaw: Refusal | undefined,
  ) {
    super();
    this.flaw = flaw;
    this.connection = connection;
    // A request of a server has both.
    this.method = request.method ?? "";
    this.path = request.url ?? "";
    this.headers = headers;
    const { method, path } = this;
    // A browser shows its token in another header, or later.
    this.facts = new RequestFacts({ method, path, fields: { get: () => null }, isAuthorized: true });
    this.input = connection.socket;
    this.output = connection.socket;
    if (begun.length > 0) connection.socket.unshift(begun);
  }

  get isGone(): boolean {
    return this.output.destroyed;
  }

  respond(status: number, reason: string, headers: HeaderPairs): void {
    let head = `HTTP/1.1 ${status} ${reason}\r\n`;
    for (let i = 0; i + 1 < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
    head += status === 101 ? "Connection: Upgrade\r\nUpgrade: websocket\r\n" : "Connection: close\r\n";
    this.output.write(`${head}\r\n`, "latin1");
  }

  goOn(): void {
    // Bytes that come before an answer are kept for the time after it.
  }

  end(last?: Uint8Array): void {
    if (last === undefined) this.output.end();
    else this.output.end(last);
    this.connection.guard.once(this.input, "end", () => this.output.destroySoon());
  }

  breakOff(): void {
    this.output.resetAndDestroy();
  }

  letGo(): void {
    this.output.destroySoon();
  }

  turnAway(): void {
    this.output.resetAndDestroy();
  }
}
