/** The real database object over its real interface, and what its answers mean. */
import { env } from "cloudflare:workers";
import { fromBinary } from "@bufbuild/protobuf";
import type { Grant } from "../../../src/contracts/grant.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import { encodeAtomicWrite, encodeSnapshotRead, encodeWatch } from "../../../src/codec/datapath-requests.ts";
import type { AtomicWrite, ReadRange } from "../../../src/core/operations.ts";
import type { DatabaseObject } from "../../../src/objects/database-object.ts";
import type { Env } from "../../../src/objects/env.ts";
import { watchProtocol } from "../../../src/contracts/database.ts";
import { turns } from "../fake-timers.ts";
import {
  AtomicWriteOutputSchema,
  SnapshotReadOutputSchema,
  WatchOutputSchema,
} from "../proto/generated/com/deno/kv/datapath/datapath_pb.js";

export const everything: Grant = { tokenId: "test", read: true, write: true, expiresAt: asUnixMs(8e15) };

export type Stub = DurableObjectStub<DatabaseObject>;

let databases = 0;

export async function newDatabase(): Promise<Stub> {
  databases += 1;
  const databaseId = `database ${databases}`;
  // The plugin's environment is the deployment's.
  const stub = (env as unknown as Env).DATABASES.getByName(databaseId);
  const made = await stub.initialize({ organizationId: "nobody", databaseId, jurisdiction: null });
  if (!("initialized" in made)) throw new Error(made.message);
  return stub;
}

export async function commit(stub: Stub, write: AtomicWrite, grant = everything) {
  const answer = await stub.atomicWrite(grant, encodeAtomicWrite(write));
  if (!(answer instanceof Uint8Array)) throw new Error(`${answer.code}: ${answer.message}`);
  return fromBinary(AtomicWriteOutputSchema, answer);
}

export async function read(stub: Stub, ranges: readonly ReadRange[], grant = everything) {
  const answer = await stub.snapshotRead(grant, encodeSnapshotRead(ranges));
  if (!(answer instanceof Uint8Array)) throw new Error(JSON.stringify(answer));
  return fromBinary(SnapshotReadOutputSchema, answer).ranges.map(({ values }) => values);
}

/** A watch as a door holds it. Messages wait in `messages` until the test takes and acknowledges them. */
export class TestWatch {
  readonly socket: WebSocket;
  readonly messages: (Uint8Array | string)[] = [];
  closedWith: { code: number; reason: string } | null = null;
  #wake: () => void = () => undefined;

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => {
      this.messages.push(typeof data === "string" ? data : new Uint8Array(data as ArrayBuffer));
      this.#wake();
    });
    socket.addEventListener("close", ({ code, reason }) => {
      this.closedWith = { code, reason };
      this.#wake();
    });
    socket.accept();
  }

  static async open(stub: Stub, keys: readonly Uint8Array[], grant = everything): Promise<TestWatch> {
    const headers = { upgrade: "websocket", [watchProtocol.grantHeader]: JSON.stringify(grant) };
    const response = await stub.fetch(`http://object${watchProtocol.path}`, { headers });
    if (response.webSocket === null) throw new Error(`no socket: ${response.status} ${await response.text()}`);
    const watch = new TestWatch(response.webSocket);
    watch.socket.send(encodeWatch(keys));
    return watch;
  }

  /** The next message; throws when none comes in time. */
  async next(withinMs = 60_000) {
    const message = await this.nextRaw(withinMs);
    if (typeof message === "string") throw new Error(message);
    return fromBinary(WatchOutputSchema, message).keys;
  }

  async nextRaw(withinMs = 60_000): Promise<Uint8Array | string> {
    const deadline = Date.now() + withinMs;
    while (this.messages.length === 0 && this.closedWith === null && Date.now() < deadline) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, 20);
      });
    }
    const message = this.messages.shift();
    if (message === undefined)
      throw new Error(`no message within ${withinMs} ms (closed: ${JSON.stringify(this.closedWith)})`);
    return message;
  }

  /** Nothing comes, however far what is under way goes. */
  async silent(): Promise<void> {
    await turns();
    if (this.messages.length > 0) throw new Error(`${this.messages.length} messages where none was expected`);
  }

  acknowledge(): void {
    this.socket.send(watchProtocol.ack);
  }
}
