/** A client of sockets for tests, over the WebSocket of Node or of workerd. Frames are binary; what comes as text is kept for the test. */
import {
  decodeAtomicWriteOutput,
  decodeSnapshotReadOutput,
  decodeWatchOutput,
} from "../../src/codec/datapath-answers.ts";
import { encodeAtomicWrite, encodeSnapshotRead, encodeWatch } from "../../src/codec/datapath-requests.ts";
import { toBase64Url } from "../../src/codec/base64url.ts";
import {
  decodePrefixUpdate,
  decodeServerFrame,
  decodeSocketError,
  encodeClientFrame,
  encodePrefixWatch,
  type SentRequest,
} from "../../src/codec/socket-client.ts";
import { decodeFeedPage, encodeFeedRequest, operationOf } from "../../src/codec/feed.ts";
import { textOfKey } from "../../src/codec/key-json.ts";
import type { WatchedPrefix } from "../../src/codec/socket-prefix.ts";
import { SocketField, type SocketResponse } from "../../src/codec/socket.ts";
import type { FeedStart } from "../../src/core/feed.ts";
import type { AtomicWrite, Entry, ReadRange } from "../../src/core/operations.ts";
import { versionstampHex } from "../../src/core/versionstamp.ts";

export const subprotocols = (token: string): string[] => [
  "cairn.v1",
  `base64url.bearer.authorization.cairn.${toBase64Url(new TextEncoder().encode(token))}`,
];

export const readRequest = (id: number, ...ranges: ReadRange[]): SentRequest => ({
  type: "read",
  id,
  body: encodeSnapshotRead(ranges),
});
export const writeRequest = (id: number, write: AtomicWrite): SentRequest => ({
  type: "write",
  id,
  body: encodeAtomicWrite(write),
});
export const watchRequest = (id: number, ...keys: Uint8Array[]): SentRequest => ({
  type: "watch",
  id,
  body: encodeWatch(keys),
});
export const prefixRequest = (id: number, prefix: Uint8Array, options: Partial<WatchedPrefix> = {}): SentRequest => {
  const none = { after: null, updatesOnly: false, ignoreDeletes: false, keysOnly: false };
  return { type: "watchPrefix", id, body: encodePrefixWatch({ prefix, ...none, ...options }) };
};
export const feedRequest = (
  id: number,
  from: FeedStart = "now",
  prefix: Uint8Array = new Uint8Array(),
): SentRequest => ({
  type: "feed",
  id,
  body: encodeFeedRequest({ prefix, from }),
});
export const unwatch = (id: number, watch: number): SentRequest => ({ type: "unwatch", id, watch });
export const ack = (watch: number): SentRequest => ({ type: "ack", id: 0, watch });
export const tokenRequest = (id: number, token: string): SentRequest => ({ type: "token", id, token });

/** What both runtimes' WebSockets have. */
export interface AnySocket {
  binaryType: string;
  addEventListener(type: "message", handle: (event: { data: unknown }) => void): void;
  addEventListener(type: "close", handle: (event: { code: number; reason: string }) => void): void;
  send(message: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number): void;
}

/** A response in words: its id, and what it says. Values are shown as text. */
export type Said = readonly [id: number, ...what: unknown[]];

function shown(entry: Entry | null | "unchanged"): unknown {
  return entry === null || entry === "unchanged" ? entry : valueText(entry);
}

function valueText({ value }: Pick<Entry, "value">): string {
  return new TextDecoder().decode(value.subarray(0, 40));
}

function said({ id, field, body }: SocketResponse): Said {
  switch (field) {
    case SocketField.read: {
      const read = decodeSnapshotReadOutput(body);
      return [id, "read", ...(read.ok ? read.ranges.map((range) => range.map(shown)) : [read])];
    }
    case SocketField.write: {
      const write = decodeAtomicWriteOutput(body);
      if (!write.ok) return [id, "write", write];
      const { result } = write;
      return result.ok ? [id, "written", versionstampHex(result.version)] : [id, "failed checks", result.failedChecks];
    }
    case SocketField.watch: {
      const watch = decodeWatchOutput(body);
      return [id, "watch", ...(watch.ok ? watch.entries.map(shown) : [watch])];
    }
    case SocketField.prefix: {
      const update = decodePrefixUpdate(body);
      if (!update.ok) return [id, "prefix", update];
      const keys = update.keys.map(({ key, version, entry }) => [
        textOfKey(key),
        entry === null ? (version === null ? null : "no value") : shown(entry),
      ]);
      const upTo = update.upTo === null ? null : versionstampHex(update.upTo);
      return [id, update.reset ? "reset" : "changes", Object.fromEntries(keys), upTo];
    }
    case SocketField.feed: {
      const page = decodeFeedPage(body);
      if (!page.ok) return [id, "feed", page];
      const commits = page.commits.map(({ version, changes }) => [
        versionstampHex(version),
        ...changes.map(
          (change) =>
            `${operationOf(change)} ${textOfKey(change.key)} ${change.set === null ? "" : valueText(change.set)}`,
        ),
      ]);
      const reset = page.reset === null ? [] : [["reset", versionstampHex(page.reset)]];
      return [id, page.isLast ? "feed" : "feed, more", [...commits, ...reset], versionstampHex(page.upTo)];
    }
    case SocketField.done:
      return [id, "done"];
    default: {
      const error = decodeSocketError(body);
      const oldest = error.ok && error.oldest !== null ? [error.oldest] : [];
      return [id, "error", ...(error.ok ? [error.code, error.message, ...oldest] : [])];
    }
  }
}

export class SocketClient {
  readonly socket: AnySocket;
  /** Messages as they came, each with its responses. */
  readonly frames: Said[][] = [];
  readonly texts: string[] = [];
  closedWith: { readonly code: number; readonly reason: string } | null = null;
  readonly #untaken: Said[] = [];
  #wake: () => void = () => undefined;

  constructor(socket: AnySocket) {
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => {
      if (data instanceof ArrayBuffer) {
        const frame = decodeServerFrame(new Uint8Array(data));
        if (!frame.ok) throw new Error(frame.message);
        const words = frame.responses.map(said);
        this.frames.push(words);
        this.#untaken.push(...words);
      } else {
        this.texts.push(String(data));
      }
      this.#wake();
    });
    socket.addEventListener("close", ({ code, reason }) => {
      this.closedWith = { code, reason };
      this.#wake();
    });
  }

  send(...requests: SentRequest[]): void {
    this.socket.send(encodeClientFrame(requests));
  }

  /** The next so many responses, in the order in which they came. */
  async next(count: number): Promise<Said[]> {
    await this.#until(() => this.#untaken.length >= count, `${count} responses`);
    return this.#untaken.splice(0, count);
  }

  async nextText(): Promise<unknown> {
    await this.#until(() => this.texts.length > 0, "a text");
    const text = this.texts.shift() ?? "";
    return text.startsWith("{") ? JSON.parse(text) : text;
  }

  /** The code with which it is closed, and the error before that, in binary or in text. */
  async closed(): Promise<{ readonly code: number; readonly why: unknown }> {
    await this.#until(() => this.closedWith !== null, "a close");
    const text = this.texts.at(-1);
    // Of an error of the whole socket, which has one response.
    const inText =
      text === undefined ? undefined : (JSON.parse(text) as { responses: { error: { message: string } }[] });
    const last = this.#untaken.at(-1);
    const why = last?.[0] === 0 ? last[3] : inText?.responses[0]?.error.message;
    return { code: this.closedWith?.code ?? 0, why };
  }

  async #until(isSo: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + 60_000;
    while (!isSo()) {
      if (this.closedWith !== null || Date.now() > deadline) {
        const state = JSON.stringify([this.closedWith, this.#untaken, this.texts]);
        throw new Error(`${what} did not come: ${state}`);
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, 50);
      });
    }
  }
}
