/** The local server around the stand-in Worker, in a folder of its own, and clients for its two protocols. */
import { isFailure } from "../../src/core/errors.ts";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type ClientHttp2Session, type ClientHttp2Stream, type OutgoingHttpHeaders } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { LivenessTimes } from "../../src/local/liveness.ts";
import { onWorkerd, startServer, type RunningServer, type StartUpstream } from "../../src/local/server.ts";
import { secretNames } from "../../src/local/secrets.ts";
import { builtWorker } from "../support/built-workers.ts";

const standInWorker = join(import.meta.dirname, "../support/workerd/stand-in-worker.ts");

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "cairn-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * On a free port; closed when the test ends, if it was not before. `beforeStart` is waited for before each start of workerd, the
 * first and those after a death. `liveness`: when a workerd that hangs is given up, if not as usual.
 */
export async function startStandIn(
  persistTo: string,
  beforeStart: () => Promise<void> = () => Promise.resolve(),
  liveness?: LivenessTimes,
): Promise<RunningServer> {
  const deployment = { namespaces: [{ binding: "COUNTERS", className: "Counter" }], variables: secretNames };
  const startWorkerd = await onWorkerd(standInWorker, deployment, { liveness, build: builtWorker });
  if (isFailure(startWorkerd)) throw new Error(startWorkerd.message);
  const startUpstream: StartUpstream = async (folder, secrets) => {
    await beforeStart();
    return startWorkerd(folder, secrets);
  };
  const server = await startServer({ host: "127.0.0.1", port: 0, persistTo, secrets: {}, startUpstream });
  if (isFailure(server)) throw new Error(server.message);
  onTestFinished(() => server.close(0));
  return server;
}

/** A session with prior knowledge, closed when the test ends. */
export function http2Session(url: string): ClientHttp2Session {
  const session = connect(url, { maxSessionMemory: 256 });
  onTestFinished(() => session.destroy());
  // What a test expects of a broken session it sees on its streams.
  session.on("error", () => undefined);
  return session;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** Rejects when the stream is reset. */
export function http2Request(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: string | Buffer,
): Promise<Answer> {
  const stream = session.request(headers, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  return http2Answer(stream);
}

export function http2Answer(stream: ClientHttp2Stream): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let headers: Record<string, unknown> = {};
    stream.on("response", (received) => (headers = received));
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", reject);
    // A stream that was reset ends too, before its error: only its close tells.
    stream.on("close", () =>
      resolve({ status: Number(headers[":status"]), headers, body: Buffer.concat(chunks).toString() }),
    );
  });
}
