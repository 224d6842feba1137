/** Between whom the front stands: a client with its request, and the server process. */
import type { Readable, Writable } from "node:stream";
import type { HeaderLookup } from "../../doors/http/header-lookup.ts";
import type { ProcessAddress } from "../process-address.ts";
import type { ClientConnection } from "./client-connections.ts";
import type { Refusal } from "./refusals.ts";
import type { HeaderPairs, ServerRequest } from "./server-connection.ts";

/** A request as one of the protocols has it. The names of its headers are in lower case or as they came. */
export interface Client extends ServerRequest {
  readonly connection: ClientConnection;
  readonly fields: HeaderLookup;
  /** Whether it shows a token, good or not. */
  readonly isAuthorized: boolean;
  /** What only its protocol can see to be wrong with it. */
  readonly flaw: Refusal | undefined;
  /** The request's body, of which nothing was read yet. */
  readonly input: Readable;
  /** The answer's body. */
  readonly output: Writable;
  /** Nothing can be sent to it any more. */
  readonly isGone: boolean;
  respond(status: number, reason: string, headers: HeaderPairs): void;
  /** It may send the body that it holds back until it is told to. */
  goOn(): void;
  /** The answer is whole with this last piece of its body. */
  end(last?: Uint8Array): void;
  /** So that it cannot take what it has for a whole answer. */
  breakOff(): void;
  /** It was answered, and is sending on: it need not. */
  letGo(): void;
  /** There is no room for it, not even for an answer. */
  turnAway(): void;
}

export interface ServerProcess {
  readonly address: ProcessAddress;
  readonly pid: number;
}
