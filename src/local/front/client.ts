/** A client with its request, as the front sees it. The front stands between the client and the server process. */
import type { ProcessAddress } from "../process-address.ts";
import type { ClientConnection } from "./client-connections.ts";
import type { Refusal } from "./refusals.ts";
import type { RequestFacts } from "./request-facts.ts";
import type { HeaderPairs, ServerRequest } from "./server-connection.ts";

/** The body of a request. */
export interface RequestBody {
  /** Bytes that wait for their reader. */
  readonly readableLength: number;
  pause(): unknown;
  resume(): unknown;
}

/** The body of an answer. */
export interface AnswerBody {
  /** Bytes that wait for the client. */
  readonly writableLength: number;
  /** False: the next piece should wait until the client has taken more. */
  write(piece: Uint8Array | string): boolean;
}

/** Takes the body of a request, and is told when the answer may go on. */
export interface ClientReader {
  received(piece: Buffer): void;
  receivedAll(): void;
  /** After `write` has returned false. */
  taken(): void;
}

/** A request in the form of its protocol. The names of its headers are in lower case or as they came. */
export interface Client extends ServerRequest {
  readonly connection: ClientConnection;
  readonly facts: RequestFacts;
  /** What is wrong with the request, as far as only its protocol can see that. */
  readonly flaw: Refusal | undefined;
  /** The request's body, of which nothing was read yet. */
  readonly input: RequestBody;
  /** The answer's body. */
  readonly output: AnswerBody;
  /** Nothing can be sent to the client any more. */
  readonly isGone: boolean;
  /** The reader is given the request's body, as long as `input` is not paused. To be called once. */
  read(reader: ClientReader): void;
  /** The reader is told when the answer may go on. To be called once. */
  tellTaken(reader: ClientReader): void;
  /** Sends the whole answer. */
  answer(head: AnswerHead, body: Uint8Array): void;
  respond(status: number, reason: string, headers: HeaderPairs): void;
  /** Tells a client that holds its body back to send it. */
  goOn(): void;
  /** The answer is complete. */
  end(): void;
  /** Breaks off, so that the client cannot take what it has for a complete answer. */
  breakOff(): void;
  /** The client was answered and still sends: it need not. */
  letGo(): void;
  /** There is no room for the request, not even for an answer. */
  turnAway(): void;
}

/** How an answer of a known length begins. Answers that begin alike have the same head, as far as possible. */
export interface AnswerHead {
  readonly status: number;
  /** Without `content-length` and `date`. */
  readonly pairs: HeaderPairs;
}

export interface ServerProcess {
  readonly address: ProcessAddress;
  readonly pid: number;
}
