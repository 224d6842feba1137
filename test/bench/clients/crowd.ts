/** A thread that holds many sockets, with a watch each. Told to, it lets all of them go and opens as many anew at once; then it answers. */
import { parentPort, workerData } from "node:worker_threads";
import { encodeWatch } from "../../../src/codec/datapath-requests.ts";
import { encodeClientFrame } from "../../../src/codec/socket-client.ts";
import type { RawWebSocket } from "../../support/raw-websocket.ts";
import { entryKey } from "../operations.ts";
import { openSocket, type SocketPlace } from "../socket-load.ts";

export interface CrowdOrders {
  readonly place: SocketPlace;
  readonly count: number;
}

// What our own part gives.
const { place, count } = workerData as CrowdOrders;
let sockets: RawWebSocket[] = [];

parentPort?.on("message", () => {
  for (const socket of sockets) socket.vanish();
  const opening = Array.from({ length: count }, (_, index) => openWatching(index));
  void Promise.all(opening).then((opened) => {
    sockets = opened;
    parentPort?.postMessage("connected", []);
  });
});

/** Resolves when its watch was told the first state. */
async function openWatching(index: number): Promise<RawWebSocket> {
  const socket = await openSocket(place);
  const told = new Promise<void>((resolve, reject) => {
    socket.onMessage = () => resolve();
    socket.onClose = (code, reason) => reject(new Error(`a socket was closed with ${code}: ${reason}`));
  });
  socket.send(encodeClientFrame([{ type: "watch", id: 1, body: encodeWatch([entryKey(index)]) }]));
  await told;
  socket.send(encodeClientFrame([{ type: "ack", id: 0, watch: 1 }]));
  socket.onClose = () => undefined;
  return socket;
}
