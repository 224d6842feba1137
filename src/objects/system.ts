/**
 * The real clock, timers and randomness, which the Worker uses only from here. The wiring files pass them to all code that measures time,
 * waits or needs randomness, so that tests can pass others.
 */
import { UNTOUCHED } from "../contracts/untouched.ts";
import { toHex } from "../core/bytes.ts";
import { asUnixMs, type Clock } from "../core/clock.ts";
import type { Entropy } from "../core/entropy.ts";
import type { Timers } from "../core/timers.ts";
import type { AlarmParts } from "./alarm-clock.ts";

export const systemClock: Clock = { now: () => asUnixMs(Date.now()) };

export const systemEntropy: Entropy = {
  bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
  uuid: () => crypto.randomUUID(),
};

/** From 0 to 1. For spreading what would otherwise happen at the same time. It need not be secret. */
export const systemRandom = (): number => Math.random();

export const systemTimers: Timers = {
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

/** A socket whose one end is held here, and the answer to an upgrade that hands over the other end. */
export function acceptSocket(protocol: string | null): { readonly socket: WebSocket; readonly answer: Response } {
  const { 0: client, 1: socket } = new WebSocketPair();
  socket.binaryType = "arraybuffer";
  socket.accept();
  const headers = new Headers({ [UNTOUCHED.header]: UNTOUCHED.value });
  if (protocol !== null) headers.set("sec-websocket-protocol", protocol);
  return { socket, answer: new Response(null, { status: 101, webSocket: client, headers }) };
}

/** The handlers of an object for its hibernatable sockets. */
export interface SocketHandlers {
  webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void;
  webSocketClose(socket: WebSocket, code: number, reason: string): void;
  webSocketError(socket: WebSocket): void;
}

/**
 * Accepts a socket with which the object does not sleep. Each message costs less than one of a hibernatable socket, for which the runtime
 * starts an event of its own.
 */
export function acceptAwake(socket: WebSocket, handlers: SocketHandlers): void {
  socket.binaryType = "arraybuffer";
  socket.accept();
  // The type has blobs too, which only another `binaryType` gives.
  socket.addEventListener("message", ({ data }) => handlers.webSocketMessage(socket, data as string | ArrayBuffer));
  socket.addEventListener("close", ({ code, reason }) => handlers.webSocketClose(socket, code, reason));
  socket.addEventListener("error", () => handlers.webSocketError(socket));
}

export function alarmParts(id: DurableObjectId): AlarmParts {
  return { object: id.toString(), clock: systemClock, timers: systemTimers, random: systemRandom };
}

export const systemWait = (ms: number): Promise<void> => scheduler.wait(ms);

/** Lets other requests of this object run in between. */
export const systemTurn = (): Promise<void> => systemWait(0);

let nameOfProcess: string | null = null;

/**
 * 32 hex digits that no other process has, not even one that runs on a copy of the same data: they are stored nowhere. Made at the first
 * use, because the platform gives no randomness while a Worker is being loaded.
 */
export function processName(): string {
  nameOfProcess ??= toHex(systemEntropy.bytes(16));
  return nameOfProcess;
}
