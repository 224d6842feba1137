/** KV Connect spoken by hand, over HTTP/1.1: for what real clients never send, and to see what they hide. */
import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { Agent, request, type IncomingMessage } from "node:http";
import { encodeKey, type Key } from "../../src/codec/key-codec.ts";
import {
  AtomicWriteOutputSchema,
  AtomicWriteSchema,
  MutationType,
  SnapshotReadOutputSchema,
  SnapshotReadSchema,
  ValueEncoding,
  WatchOutputSchema,
  WatchSchema,
  type AtomicWriteOutput,
  type SnapshotReadOutput,
  type WatchOutput,
} from "./proto/generated/com/deno/kv/datapath/datapath_pb.js";
import type { TestServer } from "./server.ts";

export type Operation = "snapshot_read" | "atomic_write" | "watch";

export interface Answer {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly body: Buffer;
}

export interface Metadata {
  readonly version: number;
  readonly databaseId: string;
  readonly endpoints: readonly { readonly url: string; readonly consistency: string }[];
  readonly token: string;
  readonly expiresAt: string;
}

export function rawKey(...parts: Key): Uint8Array {
  const encoded = encodeKey(parts);
  if (!encoded.ok) throw new Error(encoded.message);
  return encoded.bytes;
}

/** A mutation that sets raw bytes. */
export function rawSet(key: Uint8Array, data: Uint8Array, encoding: ValueEncoding = ValueEncoding.BYTES) {
  return { key, value: { data, encoding }, mutationType: MutationType.SET };
}

/** The range that holds this key alone. */
export function rawPoint(key: Uint8Array) {
  return { start: key, end: Uint8Array.of(...key, 0), limit: 1 };
}

/** The range of all keys that begin with these parts. */
export function rawPrefix(...parts: Key) {
  const prefix = rawKey(...parts);
  return { start: Uint8Array.of(...prefix, 0), end: Uint8Array.of(...prefix, 0xff), limit: 100 };
}

export function encodeWrite(write: MessageInitShape<typeof AtomicWriteSchema>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(toBinary(AtomicWriteSchema, create(AtomicWriteSchema, write)));
}

export function encodeRead(read: MessageInitShape<typeof SnapshotReadSchema>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(toBinary(SnapshotReadSchema, create(SnapshotReadSchema, read)));
}

export function encodeWatch(watch: MessageInitShape<typeof WatchSchema>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(toBinary(WatchSchema, create(WatchSchema, watch)));
}

export class RawConnect {
  readonly metadata: Metadata;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #server: Pick<TestServer, "url">;

  private constructor(server: Pick<TestServer, "url">, metadata: Metadata) {
    this.#server = server;
    this.metadata = metadata;
  }

  static async open(server: Pick<TestServer, "url" | "connectUrl" | "accessToken">): Promise<RawConnect> {
    const answer = await exchange(server, JSON.stringify({ supportedVersions: [1, 2, 3] }));
    if (answer.status !== 200) throw new Error(`${answer.status}: ${await answer.text()}`);
    // The exchange has a test of its own.
    return new RawConnect(server, (await answer.json()) as Metadata);
  }

  /** The headers that a client sends; undefined leaves one out. */
  headers(other: Readonly<Record<string, string | undefined>> = {}): Record<string, string> {
    const all = {
      authorization: `Bearer ${this.metadata.token}`,
      "content-type": "application/x-protobuf",
      "x-denokv-version": "3",
      "x-denokv-database-id": this.metadata.databaseId,
      ...other,
    };
    return Object.fromEntries(Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined));
  }

  url(operation: Operation, databaseId: string = this.metadata.databaseId): string {
    return `${this.#server.url}/databases/${databaseId}/${operation}`;
  }

  async post(
    operation: Operation,
    body: Uint8Array,
    { headers = this.headers(), url = this.url(operation), method = "POST" } = {},
  ): Promise<Answer> {
    const response = await this.#send(url, method, headers, body);
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    return {
      status: response.statusCode ?? 0,
      contentType: response.headers["content-type"],
      body: Buffer.concat(chunks),
    };
  }

  async write(write: MessageInitShape<typeof AtomicWriteSchema>): Promise<AtomicWriteOutput> {
    return fromBinary(AtomicWriteOutputSchema, await this.#good("atomic_write", encodeWrite(write)));
  }

  async read(read: MessageInitShape<typeof SnapshotReadSchema>): Promise<SnapshotReadOutput> {
    return fromBinary(SnapshotReadOutputSchema, await this.#good("snapshot_read", encodeRead(read)));
  }

  async watch(...keys: Uint8Array[]): Promise<RawWatch> {
    const body = encodeWatch({ keys: keys.map((key) => ({ key })) });
    const response = await this.#send(this.url("watch"), "POST", this.headers(), body);
    if (response.statusCode !== 200) throw new Error(`the watch was answered with ${response.statusCode}`);
    return new RawWatch(response);
  }

  close(): void {
    this.#agent.destroy();
  }

  async #good(operation: Operation, body: Uint8Array): Promise<Uint8Array> {
    const answer = await this.post(operation, body);
    if (answer.status !== 200) throw new Error(`${operation}: ${answer.status}: ${answer.body.toString()}`);
    const { buffer, byteOffset, length } = answer.body;
    return new Uint8Array(buffer, byteOffset, length);
  }

  #send(url: string, method: string, headers: Record<string, string>, body: Uint8Array): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const outgoing = request(url, { method, headers, agent: this.#agent }, resolve);
      outgoing.on("error", reject);
      outgoing.end(body);
    });
  }
}

/** `body` undefined: none at all. */
export function exchange(
  server: Pick<TestServer, "connectUrl" | "accessToken">,
  body: string | undefined,
  { token = server.accessToken, url = server.connectUrl } = {},
): Promise<Response> {
  return fetch(url, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body }),
  });
}

/** The frames of one watch as they come. Nothing is read from the connection before somebody asks for a frame. */
export class RawWatch {
  readonly #response: IncomingMessage;
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(response: IncomingMessage) {
    this.#response = response;
    this.#chunks = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** "keep-alive" for a frame of length 0, undefined at the end of the stream. */
  async frame(): Promise<WatchOutput | "keep-alive" | undefined> {
    const head = await this.#take(4);
    if (head === undefined) return undefined;
    const length = head.readUInt32LE(0);
    if (length === 0) return "keep-alive";
    const message = await this.#take(length);
    return message === undefined ? undefined : fromBinary(WatchOutputSchema, message);
  }

  /** The next message that is no keep-alive. */
  async next(): Promise<WatchOutput> {
    for (;;) {
      const frame = await this.frame();
      if (frame === undefined) throw new Error("the watch ended");
      if (frame !== "keep-alive") return frame;
    }
  }

  /** Goes away without a word, as a client whose process ends. */
  vanish(): void {
    this.#response.destroy();
  }

  async #take(length: number): Promise<Buffer | undefined> {
    while (this.#rest.length < length) {
      const { done, value } = await this.#chunks.next();
      if (done === true) return undefined;
      this.#rest = Buffer.concat([this.#rest, value]);
    }
    const taken = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    return taken;
  }
}
