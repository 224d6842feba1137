/** Sockets of a database's object, opened as the door opens them. */
import type { Grant } from "../../../src/contracts/grant.ts";
import { watchProtocol } from "../../../src/contracts/database.ts";
import { SocketClient } from "../socket-client.ts";
import { everything, type Stub } from "./database-object.ts";

export async function openSession(stub: Stub, grant: Grant = everything): Promise<SocketClient> {
  const headers = { upgrade: "websocket", [watchProtocol.grantHeader]: JSON.stringify(grant) };
  const response = await stub.fetch("http://object/socket", { headers });
  const { webSocket } = response;
  if (webSocket === null) throw new Error(`no socket: ${response.status} ${await response.text()}`);
  return clientOf(webSocket);
}

export function clientOf(webSocket: WebSocket): SocketClient {
  const client = new SocketClient(webSocket);
  webSocket.accept();
  return client;
}
