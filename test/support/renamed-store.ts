/**
 * A store under a name of its own, before a real server that knows only itself: it checks the signature over the host as it was sent, and
 * signs anew for the server behind it.
 */
import dns from "node:dns";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { AwsV4Signer } from "aws4fetch";
import type { S3Place } from "./s3-place.ts";

export interface RenamedStore extends S3Place {
  readonly port: number;
  close(): Promise<void>;
}

const SUFFIX = ".s3.test";

/** The bucket and the path that a request to this host is for; null: the store does not take it. */
type Naming = (host: string, path: string) => string | null;

/**
 * It takes requests with the bucket in the host's name only. While it runs, this process finds names that end in `.s3.test` on its own
 * machine.
 */
export async function startVirtualHostStore(behind: S3Place): Promise<RenamedStore> {
  const { port, close } = await serve(behind, (host, path) => {
    const [bucket = "", ...rest] = host.split(".");
    return rest.join(".").split(":")[0] === `eu${SUFFIX}` ? `/${bucket}${path}` : null;
  });
  const { lookup } = dns;
  dns.lookup = Object.assign(lookupHere(lookup), lookup);
  return {
    ...behind,
    endpoint: `http://eu${SUFFIX}:${port}`,
    port,
    close: () => {
      dns.lookup = lookup;
      return close();
    },
  };
}

/** It takes requests to this host only, which the way there has to find and to speak TLS for. */
export async function startStoreNamed(host: string, behind: S3Place): Promise<RenamedStore> {
  const served = await serve(behind, (asked, path) => (asked.split(":")[0] === host ? path : null));
  return { ...behind, endpoint: `https://${host}`, ...served };
}

async function serve(behind: S3Place, naming: Naming): Promise<{ port: number; close: () => Promise<void> }> {
  const server = createServer((incoming, outgoing) => {
    answer(behind, naming, incoming, outgoing).catch(() => outgoing.destroy());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  // A server that listens on TCP has such an address.
  const { port } = server.address() as AddressInfo;
  const close = (): Promise<void> =>
    new Promise((resolve, reject) => {
      server.close((error) => (error === undefined ? resolve() : reject(error)));
      server.closeAllConnections();
    });
  return { port, close };
}

/** As `dns.lookup`, which the system's connections ask, with the store's names. */
function lookupHere(real: typeof dns.lookup): typeof dns.lookup {
  const lookup = (name: string, ...rest: unknown[]): void =>
    // Whatever the overload, the rest of the arguments stays as it was.
    (real as (...all: unknown[]) => void)(name.endsWith(SUFFIX) ? "127.0.0.1" : name, ...rest);
  return lookup as typeof dns.lookup;
}

async function answer(
  behind: S3Place,
  naming: Naming,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const { method = "GET", url: path = "/", headers } = incoming;
  const body = await readAll(incoming);
  const refuse = (code: string): void => {
    outgoing.writeHead(403);
    outgoing.end(method === "HEAD" ? "" : `<Error><Code>${code}</Code></Error>`);
  };
  const host = headers.host ?? "";
  const named = naming(host, path);
  if (named === null) return refuse("SecondLevelDomainForbidden");
  if (!(await isSigned(behind, method, `http://${host}${path}`, incoming))) return refuse("SignatureDoesNotMatch");
  const passed = Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      /^(host|authorization|x-amz-date|connection|content-length)$/.test(name) || typeof value !== "string"
        ? []
        : [[name, value]],
    ),
  );
  const { accessKeyId, secretAccessKey, region, endpoint } = behind;
  const url = endpoint + named;
  const signer = new AwsV4Signer({ method, url, headers: passed, accessKeyId, secretAccessKey, region, service: "s3" });
  const signed = await signer.sign();
  const target = new URL(url);
  const all = { ...Object.fromEntries(signed.headers), host: target.host };
  const options = { port: Number(target.port), method, path: target.pathname + target.search, headers: all };
  const got = await exchange(options, body);
  outgoing.writeHead(got.status, got.headers);
  outgoing.end(got.body);
}

/** Whether the request carries the signature that its headers, as they have arrived, come to. */
async function isSigned(
  { accessKeyId, secretAccessKey, region }: S3Place,
  method: string,
  url: string,
  { headers }: IncomingMessage,
): Promise<boolean> {
  const given = headers.authorization ?? "";
  const names = /SignedHeaders=([^,]+)/.exec(given)?.[1]?.split(";") ?? [];
  if (!names.includes("host")) return false;
  const signed = Object.fromEntries(
    names.filter((name) => name !== "host" && name !== "x-amz-date").map((name) => [name, String(headers[name] ?? "")]),
  );
  const datetime = String(headers["x-amz-date"] ?? "");
  const signer = new AwsV4Signer({
    method,
    url,
    headers: signed,
    accessKeyId,
    secretAccessKey,
    region,
    service: "s3",
    datetime,
  });
  return (await signer.sign()).headers.get("authorization") === given;
}

async function exchange(
  options: { port: number; method: string; path: string; headers: Record<string, string> },
  body: Buffer | undefined,
): Promise<{ status: number; headers: Record<string, string>; body: Buffer }> {
  const received = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ host: "127.0.0.1", ...options }, resolve)
      .on("error", reject)
      .end(body);
  });
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(received.headers)) {
    if (typeof value === "string" && name !== "transfer-encoding") headers[name] = value;
  }
  return { status: received.statusCode ?? 502, headers, body: await readAll(received) };
}

async function readAll(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  // Without an encoding, Node's streams give Buffers.
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
