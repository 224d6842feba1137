/**
 * The door of sockets: `GET /api/databases/{id}/socket` with `Upgrade: websocket` (docs/spec/socket.md). It checks the token, and hands
 * the connection over to the database's object, which carries out the requests on it. A refused handshake is accepted first, and then
 * closed with the reason, because a browser shows its page nothing of any other answer.
 */
import type { Authority } from "../../contracts/authority.ts";
import { type DatabaseStub, type ObjectSocket, watchProtocol } from "../../contracts/database.ts";
import { type Grant, refusedAccess, refusedPage } from "../../contracts/grant.ts";
import { closeCodeOf, closeReason, socketProtocol } from "../../contracts/socket.ts";
import { textOfError, textOfFrame } from "../../codec/socket-text.ts";
import type { Clock } from "../../core/clock.ts";
import { type Failure, isFailure } from "../../core/errors.ts";
import type { Timers } from "../../core/timers.ts";
import { answerOptions, foreignOriginOf } from "../http/cors.ts";
import { failureOfJson } from "../http/failure-of-json.ts";
import { plainText } from "../http/plain-text.ts";
import type { FailureOfThrown } from "../http/thrown.ts";
import { handshakeOf, NOT_OUR_PROTOCOL } from "./handshake.ts";
import { relay } from "./relay.ts";

export interface SocketDoorParts {
  readonly authority: Authority;
  /** Called only for a database whose token was verified. The grant says where its object is. */
  readonly database: (databaseId: string, grant: Grant) => DatabaseStub;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly failureOfThrown: FailureOfThrown;
  /**
   * A socket of the platform, whose one end this side holds, and the answer that hands its other end to the client. `protocol`: the
   * subprotocol of the answer.
   */
  readonly accept: (protocol: string | null) => { readonly socket: ObjectSocket; readonly answer: Response };
}

/** `path` is the path of the request's URL. Undefined: another door's path. */
export type SocketDoor = (request: Request, path: string) => Promise<Response> | undefined;

const BEFORE_ID = "/api/databases/";
const BEHIND_ID = "/socket";

export function socketDoor(parts: SocketDoorParts): SocketDoor {
  return (request, path) => {
    if (!path.startsWith(BEFORE_ID) || !path.endsWith(BEHIND_ID)) return undefined;
    const databaseId = path.slice(BEFORE_ID.length, -BEHIND_ID.length);
    return databaseId === "" || databaseId.includes("/") ? undefined : answer(parts, databaseId, request);
  };
}

async function answer(parts: SocketDoorParts, databaseId: string, request: Request): Promise<Response> {
  if (request.method === "OPTIONS") return answerOptions(request, ["GET"]);
  if (request.method !== "GET") {
    return plainText(405, `${request.method} is not allowed here: a WebSocket is opened with GET.`, {
      allow: "GET, OPTIONS",
    });
  }
  if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
    return plainText(426, "This address takes WebSockets only: send the header Upgrade: websocket.", {
      upgrade: "websocket",
    });
  }
  const { protocol, token } = handshakeOf(request);
  const page = foreignOriginOf(request);
  if (protocol !== socketProtocol.name) return refused(parts, protocol, NOT_OUR_PROTOCOL);
  if (typeof token === "object") return refused(parts, protocol, token);
  if (token === undefined) {
    const { socket, answer: accepted } = parts.accept(protocol);
    const connectWith = async (shown: string): Promise<ObjectSocket | Failure> => {
      const response = await connected(parts, { databaseId, page, isRelayed: true, isAwake: false }, shown);
      return response instanceof Response ? (response.webSocket ?? failureOfJson("")) : response;
    };
    relay({ client: socket, timers: parts.timers, connect: connectWith });
    return accepted;
  }
  const isAwake = request.headers.has(socketProtocol.awakeHeader);
  const response = await connected(parts, { databaseId, page, isRelayed: false, isAwake }, token);
  // An answer that switches protocols is not `ok` either, so the two are told apart by their class.
  return response instanceof Response ? response : refused(parts, protocol, response);
}

type Upgraded = Awaited<ReturnType<DatabaseStub["fetch"]>>;

interface Asked {
  readonly databaseId: string;
  /** The origin of a page of another origin. */
  readonly page: string | null;
  /** Whether the Worker holds the client's socket. */
  readonly isRelayed: boolean;
  /** Whether the client is a front, which ends a socket that it does not use. */
  readonly isAwake: boolean;
}

/** The object's answer to the upgrade, which hands its socket to the client. */
async function connected(
  parts: SocketDoorParts,
  { databaseId, page, isRelayed, isAwake }: Asked,
  token: string,
): Promise<Upgraded | Failure> {
  const { authority, clock, database, failureOfThrown } = parts;
  try {
    const grant = await authority.verify(token, databaseId);
    if (isFailure(grant)) return grant;
    const flaw = refusedPage(grant, page) ?? refusedAccess(grant, grant.write ? "write" : "read", clock.now());
    if (flaw !== null) return flaw;
    const headers = new Headers({ upgrade: "websocket", [watchProtocol.grantHeader]: JSON.stringify(grant) });
    if (page !== null) headers.set(socketProtocol.pageHeader, page);
    if (isRelayed) headers.set(socketProtocol.relayHeader, "1");
    if (isAwake) headers.set(socketProtocol.awakeHeader, "1");
    const response = await database(databaseId, grant).fetch(
      new Request(`https://database${socketProtocol.path}`, { headers }),
    );
    return response.webSocket ? response : failureOfJson(await response.text());
  } catch (error) {
    // A client that only connects has asked for no write.
    return failureOfThrown(error, "database", "read");
  }
}

function refused({ accept }: SocketDoorParts, protocol: string | null, why: Failure): Response {
  const { socket, answer: accepted } = accept(protocol);
  socket.send(textOfFrame([textOfError(0, why)]));
  socket.close(closeCodeOf(why.code), closeReason(why.message));
  return accepted;
}
