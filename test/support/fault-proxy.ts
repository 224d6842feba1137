/**
 * An HTTP proxy before an S3 endpoint that does to chosen requests what networks and servers do. Everything else passes through
 * byte for byte, the Host header too, for it is signed. Faults are tried in the order in which they were added; the first that
 * matches and has not been used up applies.
 */
import { createServer, type IncomingMessage, request as send, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

export type FaultKind =
  /** Answers for the server, which sees nothing. `code` makes it an S3 error. */
  | {
      readonly do: "answer";
      readonly status: number;
      readonly code?: string;
      readonly headers?: Record<string, string>;
    }
  /** The connection is closed before the server has seen the request. */
  | { readonly do: "reset" }
  /** The server carries the request out, and the connection is closed instead of its answer. */
  | { readonly do: "lose-answer" }
  /** The server carries the request out, and the connection is closed after so many bytes of its answer's body. */
  | { readonly do: "truncate"; readonly bytes: number }
  /** The server gets the request that much later. */
  | { readonly do: "delay"; readonly ms: number }
  /** Neither forwarded nor answered; the connection stays open until the fault ends. */
  | { readonly do: "hang" }
  /**
   * Ends whoever sent it: before the server has seen the request, when the server has carried it out and nobody has been answered, or
   * when the answer has been sent.
   */
  | { readonly do: "kill"; readonly when: KillMoment; readonly kill: () => void };

export type KillMoment = "before" | "after" | "answered";

export interface Fault {
  readonly fault: FaultKind;
  readonly method?: string;
  /** Tried on the path with its query, as sent. */
  readonly path?: RegExp;
  /** How many matching requests it applies to; all, if left out. */
  readonly times?: number;
  /** How many matching requests it first lets pass. */
  readonly skip?: number;
}

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  /** What was done to it; "pass" for nothing. */
  readonly fault: FaultKind["do"] | "pass";
}

export interface FaultProxy {
  /** As the endpoint that was given, at the proxy. */
  readonly endpoint: string;
  /** Every request so far, in the order of arrival. */
  readonly seen: readonly SeenRequest[];
  /** Returns what ends it. */
  add(fault: Fault): () => void;
  /** Forgets all faults: the destination is well again. */
  heal(): void;
  close(): Promise<void>;
}

interface ArmedFault {
  readonly rule: Fault;
  matched: number;
  /** Connections whose request hangs. */
  readonly hung: Socket[];
}

export async function startFaultProxy(endpoint: string): Promise<FaultProxy> {
  const target = new URL(endpoint);
  const seen: SeenRequest[] = [];
  let armed: ArmedFault[] = [];

  const choose = (method: string, path: string): ArmedFault | undefined => {
    for (const fault of armed) {
      const { rule } = fault;
      if (rule.method !== undefined && rule.method !== method) continue;
      if (rule.path !== undefined && !rule.path.test(path)) continue;
      const position = fault.matched - (rule.skip ?? 0);
      if (position >= (rule.times ?? Infinity)) continue;
      fault.matched += 1;
      if (position >= 0) return fault;
    }
    return undefined;
  };

  const serve = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const body = await readAll(incoming);
    const method = incoming.method ?? "";
    const path = incoming.url ?? "";
    const chosen = choose(method, path);
    const fault = chosen?.rule.fault;
    if (fault?.do === "hang") chosen?.hung.push(incoming.socket);
    seen.push({ method, path, fault: fault?.do ?? "pass" });
    apply(fault, target, incoming, outgoing, body);
  };
  const server = createServer((incoming, outgoing) => {
    serve(incoming, outgoing).catch(() => outgoing.destroy());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  // A server that listens on TCP has such an address.
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}${target.pathname === "/" ? "" : target.pathname}`,
    seen,
    add: (rule) => {
      const fault: ArmedFault = { rule, matched: 0, hung: [] };
      armed.push(fault);
      return () => {
        armed = armed.filter((other) => other !== fault);
        letGo(fault);
      };
    },
    heal: () => {
      armed.forEach(letGo);
      armed = [];
    },
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error === undefined ? resolve() : reject(error)));
        server.closeAllConnections();
      }),
  };
}

function letGo({ hung }: ArmedFault): void {
  for (const socket of hung) socket.destroy();
}

function apply(
  fault: FaultKind | undefined,
  target: URL,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  body: Buffer,
): void {
  switch (fault?.do) {
    case undefined:
      forward(
        target,
        incoming,
        body,
        (answer) => {
          outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
          answer.pipe(outgoing);
        },
        outgoing,
      );
      return;
    case "answer": {
      const xml =
        fault.code === undefined ? "" : `<Error><Code>${fault.code}</Code><Message>secret words</Message></Error>`;
      outgoing.writeHead(fault.status, { "content-type": "application/xml", ...fault.headers });
      outgoing.end(incoming.method === "HEAD" ? "" : xml);
      return;
    }
    case "reset":
      incoming.socket.resetAndDestroy();
      return;
    case "lose-answer":
      forward(
        target,
        incoming,
        body,
        (answer) => {
          answer.resume().on("end", () => incoming.socket.resetAndDestroy());
        },
        outgoing,
      );
      return;
    case "truncate":
      forward(
        target,
        incoming,
        body,
        (answer) => {
          const cut = (bytes: Buffer): void => {
            outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
            outgoing.write(bytes.subarray(0, fault.bytes), () => incoming.socket.destroy());
          };
          readAll(answer).then(cut, () => outgoing.destroy());
        },
        outgoing,
      );
      return;
    case "delay":
      setTimeout(() => apply(undefined, target, incoming, outgoing, body), fault.ms);
      return;
    case "kill":
      killAt(fault, target, incoming, outgoing, body);
      return;
    case "hang":
  }
}

function killAt(
  { when, kill }: Extract<FaultKind, { do: "kill" }>,
  target: URL,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  body: Buffer,
): void {
  if (when === "before") {
    kill();
    incoming.socket.destroy();
    return;
  }
  const answered = (answer: IncomingMessage): void => {
    if (when === "answered") {
      outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(outgoing).on("finish", kill);
      return;
    }
    answer.resume().on("end", () => {
      kill();
      incoming.socket.destroy();
    });
  };
  forward(target, incoming, body, answered, outgoing);
}

function forward(
  target: URL,
  incoming: IncomingMessage,
  body: Buffer,
  answered: (answer: IncomingMessage) => void,
  outgoing: ServerResponse,
): void {
  const { hostname, port } = target;
  const options = { hostname, port, method: incoming.method, path: incoming.url, headers: incoming.rawHeaders };
  const upstream = send(options, answered);
  upstream.on("error", () => outgoing.destroy());
  upstream.end(body);
}

async function readAll(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  // Without an encoding, Node's streams give Buffers.
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
