/** The load of one socket: so many operations in flight, and a frame for what was answered together. */
import { subprotocols } from "../support/socket-client.ts";
import { RawWebSocket } from "../support/raw-websocket.ts";
import {
  decodeServerFrame,
  decodeSocketError,
  encodeClientFrame,
  type SentRequest,
} from "../../src/codec/socket-client.ts";
import { SocketField } from "../../src/codec/socket.ts";
import type { Address, LoadResult } from "./load.ts";
import { loadResult } from "./statistics.ts";
import type { Call } from "./workloads.ts";

export interface SocketPlace {
  readonly address: Address;
  readonly databaseId: string;
  readonly token: string;
}

export function openSocket({ address, databaseId, token }: SocketPlace): Promise<RawWebSocket> {
  const path = `/api/databases/${databaseId}/socket`;
  return RawWebSocket.open({ ...address, path, protocols: subprotocols(token) });
}

const FIELDS = { snapshot_read: SocketField.read, atomic_write: SocketField.write } as const;

/** No answer for so long is an error: a measurement never hangs. */
const MAX_SILENCE_MS = 20_000;

/** One socket's closed loop. */
export class SocketLoad {
  readonly #socket: RawWebSocket;
  #failed: (error: Error) => void = () => undefined;

  private constructor(socket: RawWebSocket) {
    this.#socket = socket;
    socket.onClose = (code, reason) => this.#failed(new Error(`the socket was closed with ${code}: ${reason}`));
  }

  static async open(place: SocketPlace): Promise<SocketLoad> {
    return new SocketLoad(await openSocket(place));
  }

  close(): void {
    this.#failed = () => undefined;
    this.#socket.vanish();
  }

  /** Sends the calls in turn for that long, `inFlight` of them at a time. An error as an answer rejects. */
  async load(calls: readonly Call[], inFlight: number, seconds: number): Promise<LoadResult> {
    const socket = this.#socket;
    const latencies: number[] = [];
    const sentAt = new Float64Array(inFlight + 1);
    const expected = new Uint8Array(inFlight + 1);
    const start = performance.now();
    const deadline = start + seconds * 1000;
    let next = 0;
    let open = 0;
    const send = (ids: readonly number[]): void => {
      const now = performance.now();
      const requests: SentRequest[] = [];
      for (const id of ids) {
        const call = calls[next++ % calls.length];
        if (call === undefined) throw new Error("expected at least one call");
        sentAt[id] = now;
        expected[id] = FIELDS[call.method];
        requests.push({ type: call.method === "snapshot_read" ? "read" : "write", id, body: call.body });
      }
      open += ids.length;
      socket.send(encodeClientFrame(requests));
    };
    let silence: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#failed = reject;
        silence = setTimeout(() => reject(new Error("the socket answers nothing")), MAX_SILENCE_MS);
        socket.onMessage = (data) => {
          silence?.refresh();
          const frame = decodeServerFrame(data);
          if (!frame.ok) return reject(new Error(frame.message));
          const now = performance.now();
          const ids: number[] = [];
          for (const { id, field, body } of frame.responses) {
            if (field !== expected[id]) return reject(new Error(wordsOf(id, field, body)));
            latencies.push(now - (sentAt[id] ?? Number.NaN));
            ids.push(id);
          }
          open -= ids.length;
          if (now < deadline) send(ids);
          else if (open === 0) resolve();
        };
        send(Array.from({ length: inFlight }, (_, index) => index + 1));
      });
    } finally {
      clearTimeout(silence);
      this.#failed = () => undefined;
    }
    return loadResult(latencies, start);
  }
}

function wordsOf(id: number, field: number, body: Uint8Array): string {
  const error = field === SocketField.error ? decodeSocketError(body) : undefined;
  return `request ${id} was answered ${error?.ok === true ? `${error.code}: ${error.message}` : `by field ${field}`}`;
}

const OPENED_AT_ONCE = 32;

/** `count` things that are opened, some of them at a time. */
export async function inTurns<T>(count: number, open: (index: number) => Promise<T>): Promise<T[]> {
  const opened: T[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      const index = next++;
      opened[index] = await open(index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(count, OPENED_AT_ONCE) }, lane));
  return opened;
}
