/** Server-Sent Events over plain TCP connections, cheap enough for a thousand in one process. */
import { connect, type Socket } from "node:net";
import type { SocketPlace } from "./socket-load.ts";

const OPEN_DEADLINE_MS = 30_000;
const END_OF_HEAD = "\r\n\r\n";

export class EventConnection {
  /** What has come, as it came: the lengths of chunks are in it. */
  onText: (text: string) => void = () => undefined;
  onClose: (why: string) => void = () => undefined;
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** `path`: what follows the database's id. Resolves with the head of a 200, rejects with any other. */
  static open({ address, databaseId, token }: SocketPlace, path: string): Promise<EventConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ ...address, noDelay: true });
      const connection = new EventConnection(socket);
      let head = "";
      let isOpen = false;
      socket.setTimeout(OPEN_DEADLINE_MS, () => socket.destroy(new Error("the watch was not answered in time")));
      socket.setEncoding("latin1").on("data", (text: string) => {
        if (isOpen) return connection.onText(text);
        head += text;
        const end = head.indexOf(END_OF_HEAD);
        if (end === -1) return;
        if (!head.startsWith("HTTP/1.1 200")) return socket.destroy(new Error(head));
        isOpen = true;
        socket.setTimeout(0);
        resolve(connection);
        const rest = head.slice(end + END_OF_HEAD.length);
        if (rest !== "") connection.onText(rest);
      });
      socket.on("error", (error) => {
        reject(error);
        connection.onClose(error.message);
      });
      socket.on("close", () => connection.onClose("the connection was closed"));
      const lines = [`GET /api/databases/${databaseId}/${path} HTTP/1.1`, `host: ${address.host}:${address.port}`];
      socket.write(
        [...lines, `authorization: Bearer ${token}`, "accept: text/event-stream"].join("\r\n") + END_OF_HEAD,
      );
    });
  }

  vanish(): void {
    this.onClose = () => undefined;
    this.#socket.destroy();
  }
}
