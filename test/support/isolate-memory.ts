/**
 * What the one isolate of a workerd holds, as its inspector says it (the Chrome DevTools protocol): V8's heap, the embedder's, and the
 * bytes of buffers. Every object of that workerd lives in this isolate.
 */
import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** The most of what counts towards an object's memory, in bytes. */
export interface Peaks {
  /** As it was found, with what nobody needs any more and no collection has taken yet. */
  readonly found: number;
  /** What a collection at that moment left. */
  readonly live: number;
}

const LOOK_EVERY_MS = 50;
/** A collection takes some ten milliseconds, in which the isolate does nothing else. */
const COLLECT_EVERY = 6;

interface HeapUsage {
  readonly usedSize: number;
  readonly embedderHeapUsedSize?: number;
  readonly backingStorageSize?: number;
}

export class IsolateMemory {
  readonly #socket: WebSocket;
  readonly #collect: () => Promise<void>;
  readonly #waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  #calls = 0;

  private constructor(socket: WebSocket, collect: () => Promise<void>) {
    this.#socket = socket;
    this.#collect = collect;
    socket.addEventListener("message", ({ data }) => {
      // The protocol's own form.
      const { id, result, error } = JSON.parse(String(data)) as { id?: number; result?: unknown; error?: unknown };
      const call = this.#waiting.get(id ?? 0);
      if (call === undefined) return;
      this.#waiting.delete(id ?? 0);
      if (error === undefined) call.resolve(result);
      else call.reject(new Error(JSON.stringify(error)));
    });
    socket.addEventListener("close", () => {
      for (const { reject } of this.#waiting.values()) reject(new Error("the inspector is gone"));
      this.#waiting.clear();
    });
  }

  /** What workerd must be started with. */
  static flags(port: number): { flags: string[]; v8: string[] } {
    return { flags: [`--inspector-addr=127.0.0.1:${port}`], v8: ["--expose-gc"] };
  }

  /** Of the workerd that was started with these flags. `collect` has it call `gc`: the inspector's own way waits for an idle isolate. */
  static async open(port: number, collect: () => Promise<void>): Promise<IsolateMemory> {
    const targets = await fetch(`http://127.0.0.1:${port}/json`);
    // The protocol's own form.
    const listed = (await targets.json()) as { id: string; webSocketDebuggerUrl: string }[];
    const url = listed.find(({ id }) => id.includes("main"))?.webSocketDebuggerUrl;
    if (url === undefined) throw new Error(`no isolate to inspect among ${JSON.stringify(listed)}`);
    const socket = new WebSocket(url);
    await once(socket, "open");
    return new IsolateMemory(socket, collect);
  }

  /** Looks again and again until the work is over. */
  async during<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly peaks: Peaks }> {
    const peaks = { found: 0, live: 0 };
    const state = { working: true };
    const working = work().finally(() => {
      state.working = false;
    });
    for (let i = 1; state.working || i === 1; i++) {
      peaks.found = Math.max(peaks.found, await this.#measure());
      if (i % COLLECT_EVERY === 0) {
        await this.#collect();
        peaks.live = Math.max(peaks.live, await this.#measure());
      }
      await Promise.race([sleep(LOOK_EVERY_MS), working.catch(() => undefined)]);
    }
    return { result: await working, peaks };
  }

  async #measure(): Promise<number> {
    // Of this shape by the protocol.
    const usage = (await this.#call("Runtime.getHeapUsage")) as HeapUsage;
    return usage.usedSize + (usage.embedderHeapUsedSize ?? 0) + (usage.backingStorageSize ?? 0);
  }

  close(): void {
    this.#socket.close();
  }

  async #call(method: string, params: object = {}): Promise<unknown> {
    this.#calls += 1;
    const id = this.#calls;
    const answered = new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
    this.#socket.send(JSON.stringify({ id, method, params }));
    return answered;
  }
}

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  if (typeof address !== "object" || address === null) throw new Error("no port");
  return address.port;
}
