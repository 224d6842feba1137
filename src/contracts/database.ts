/**
 * What a database's object offers to the doors. Requests and answers of the data path are sent as bytes, as the messages of
 * `codec/datapath.ts`. They are decoded only once, in the object.
 */
import type { DocumentStub } from "./document-commands.ts";
import type { EntryStub } from "./entry-commands.ts";
import type { Grant } from "./grant.ts";
import type { RecordStub } from "./record-commands.ts";
import { type Failure, failure } from "../core/errors.ts";

/** The answer is too large for one RPC result: send the same request through `fetch`, which streams the answer. */
export interface LargeAnswer {
  readonly ok: true;
  readonly large: true;
}

export interface DatabaseStub extends EntryStub, RecordStub, DocumentStub {
  /** Takes a SnapshotRead and returns a SnapshotReadOutput. */
  snapshotRead(grant: Grant, request: Uint8Array): Promise<Uint8Array | LargeAnswer | Failure>;
  /** Takes an AtomicWrite and returns an AtomicWriteOutput. Failed checks are such an answer, not a failure. */
  atomicWrite(grant: Grant, request: Uint8Array): Promise<Uint8Array | Failure>;
  /**
   * FeedRequest in, a FeedUpdate out: what comes after a place in the change feed (`codec/feed.ts`). A large one is asked for on a socket, where
   * the object bounds what is under way.
   */
  feedPage(grant: Grant, request: Uint8Array): Promise<Uint8Array | LargeAnswer | Failure>;
  /**
   * `POST /snapshot_read`: as above, streamed. A failure is a JSON body with status 400 or above. `GET /watch` with `Upgrade: websocket`:
   * see `watchProtocol`. `GET /socket`: a client's own socket, see `socketProtocol`. All carry the grant as JSON in `x-cairn-grant`.
   */
  fetch(request: Request): Promise<Response & { readonly webSocket?: ObjectSocket | null }>;
}

/** The door's end of a socket, which comes with the response to the upgrade. A part of workerd's WebSocket. */
export interface ObjectSocket {
  /** Bytes that were sent on the socket and have not left. `unsentBytes` in `socket.ts` reads it. */
  readonly bufferedAmount?: number;
  binaryType: "blob" | "arraybuffer";
  addEventListener(type: "message", handle: (event: { readonly data: string | ArrayBuffer }) => void): void;
  addEventListener(type: "close", handle: (event: { readonly code: number; readonly reason: string }) => void): void;
  addEventListener(type: "error", handle: () => void): void;
  /** From now on events are delivered. */
  accept(): void;
  send(message: string | Uint8Array): void;
  close(code: number, reason?: string): void;
}

/**
 * A watch between a door and the object. The door's first message is a Watch message (binary). Each binary message from the object is a
 * WatchOutput with the state of every key, all from one snapshot. The door answers each with the text "ack" when its client has taken the
 * message. Until then the object sends nothing more, and only remembers that something changed. A text message from the object is a
 * Failure as JSON; the object closes after it. Any other close means that the object went away (a restart, an eviction): the door
 * connects again and gets the whole state.
 */
export const watchProtocol = { path: "/watch", grantHeader: "x-cairn-grant", ack: "ack" } as const;

/** When a call through `fetch` was made, by the clock of its caller, in milliseconds since 1970. */
export const ASKED_AT_HEADER = "x-cairn-asked-at";

/** The answer of an object that holds no database: it never held one, or the database was deleted. */
export const NO_DATABASE = failure("not-found", "There is no such database");
