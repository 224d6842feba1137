/**
 * A server process of the test's own behind a front: it takes the front's sessions and says what each request on them is answered, and
 * answers what comes the long way with its path. So a test sees which way a request took, and in which frame.
 */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import {
  decodeClientFrame,
  encodeServerFrame,
  type SocketRequest,
  type SocketResponse,
} from "../../src/codec/socket.ts";
import { DataTokens } from "../../src/contracts/data-token.ts";
import type { Grant } from "../../src/contracts/grant.ts";
import { signingKeys } from "../../src/contracts/signing-keys.ts";
import { asUnixMs, type UnixMs } from "../../src/core/clock.ts";
import { isFailure } from "../../src/core/errors.ts";
import { capacityOf } from "../../src/local/front/capacity.ts";
import { systemClock, type FrontClock } from "../../src/local/front/clock.ts";
import { Front } from "../../src/local/front/front.ts";
import { CAIRN_SIGNING_KEYS } from "../support/deployment-secrets.ts";

export const databaseId = "11111111-1111-4111-8111-111111111111";

export interface StandInSession {
  readonly socket: WebSocket;
  readonly handshake: IncomingMessage;
  readonly frames: (readonly SocketRequest[])[];
  answer(...responses: SocketResponse[]): void;
}

export interface LongWay {
  readonly path: string;
  readonly body: Buffer;
}

export interface SessionServer {
  readonly sessions: StandInSession[];
  readonly longWays: LongWay[];
  readonly front: Front;
  readonly url: string;
  /** The wall clock by which the front judges tokens. */
  now: UnixMs;
  mint(grant?: Partial<Grant>, database?: string): Promise<string>;
}

export interface SessionServerOptions {
  /** What a request is answered; nothing while it is undefined. */
  readonly answer?: (request: SocketRequest, session: StandInSession) => SocketResponse | undefined;
  /** Headers with which a handshake is agreed to. */
  readonly agreed?: () => readonly string[];
  readonly sessions?: number;
  readonly clock?: FrontClock;
}

const NO_ANSWER = (): undefined => undefined;

export async function sessionServer(options: SessionServerOptions = {}): Promise<SessionServer> {
  const { answer = NO_ANSWER, agreed = () => [], sessions: count = 10, clock = systemClock } = options;
  const sessions: StandInSession[] = [];
  const longWays: LongWay[] = [];
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("end", () => {
      longWays.push({ path: request.url ?? "", body: Buffer.concat(pieces) });
      response.end("the long way");
    });
  });
  const sockets = new WebSocketServer({ server });
  sockets.on("headers", (headers) => headers.push(...agreed()));
  sockets.on("connection", (socket, handshake) => {
    const session: StandInSession = {
      socket,
      handshake,
      frames: [],
      answer: (...responses) => socket.send(encodeServerFrame(responses)),
    };
    sessions.push(session);
    socket.on("message", (message: Buffer) => {
      const frame = decodeClientFrame(message);
      if (!frame.ok) throw new Error(frame.message);
      session.frames.push(frame.requests);
      const answers = frame.requests.map((request) => answer(request, session)).filter((each) => each !== undefined);
      if (answers.length > 0) session.answer(...answers);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const { socket } of sessions) socket.terminate();
    sockets.close();
    server.closeAllConnections();
    server.close();
  });
  // A TCP server that listens has such an address.
  const { port } = server.address() as AddressInfo;

  const keys = signingKeys(CAIRN_SIGNING_KEYS);
  if (isFailure(keys)) throw new Error(keys.message);
  // One for the side that mints, whose tokens the front has not seen.
  const [minting, verifying] = [new DataTokens(keys), new DataTokens(keys)];
  const parts = { address: { host: "127.0.0.1", port }, pid: process.pid };
  const capacity = capacityOf({
    descriptors: Number.POSITIVE_INFINITY,
    connections: 1000,
    requests: 1000,
    sessions: count,
    databases: 1000,
  });
  const admission = {
    authority: {
      verify: (token: string, database: string, at?: string) => verifying.verify(token, database, result.now, at),
    },
    clock: { now: () => result.now },
  };
  const front = await Front.listen("127.0.0.1", 0, () => parts, capacity, { admission: () => admission, clock });
  if (isFailure(front)) throw new Error(front.message);
  onTestFinished(() => front.close(0));
  const result: SessionServer = {
    sessions,
    longWays,
    front,
    url: `http://127.0.0.1:${front.port}`,
    now: asUnixMs(1_795_000_000_000),
    async mint(grant, database = databaseId) {
      const hour = asUnixMs(result.now + 3_600_000);
      const whole = { tokenId: "0123456789abcdef", read: true, write: true, expiresAt: hour, ...grant };
      return (await minting.mint(whole, database, result.now)).token;
    },
  };
  return result;
}
