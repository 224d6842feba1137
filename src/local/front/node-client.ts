/** What clients have in common whose request and answer are streams of node's own. */
import { STATUS_CODES } from "node:http";
import type { ClientConnection } from "./client-connections.ts";
import type { AnswerBody, AnswerHead, ClientReader, RequestBody } from "./client.ts";
import type { Emitter } from "./guard.ts";
import type { HeaderPairs } from "./server-connection.ts";

export abstract class NodeClient {
  abstract readonly connection: ClientConnection;
  abstract readonly input: RequestBody & Emitter<"data"> & Emitter<"end">;
  abstract readonly output: AnswerBody & Emitter<"drain">;

  abstract respond(status: number, reason: string, headers: HeaderPairs): void;
  abstract end(last?: Uint8Array): void;

  read(reader: ClientReader): void {
    const { guard } = this.connection;
    guard.on(this.input, "data", (piece) => reader.received(piece));
    guard.once(this.input, "end", () => reader.receivedAll());
  }

  tellTaken(reader: ClientReader): void {
    this.connection.guard.on(this.output, "drain", () => reader.taken());
  }

  answer({ status, pairs }: AnswerHead, body: Uint8Array): void {
    this.respond(status, STATUS_CODES[status] ?? "", [...pairs, "content-length", String(body.length)]);
    this.end(body);
  }
}
