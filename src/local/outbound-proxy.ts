/**
 * The way out through the proxy in the server's environment (HTTPS_PROXY, HTTP_PROXY). workerd cannot use a proxy that needs a tunnel for
 * https. So it passes such requests to this process, over a Unix socket that only its user can open. The request line has the whole URL,
 * and the response is the answer of the host. From here connections are made only to the proxy, never to an address that a tenant
 * entered.
 */
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import https from "node:https";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream";
import { failure, type Failure } from "../core/errors.ts";
import type { ProxiedRequests } from "../core/outbound-proxy.ts";
import { UNREACHABLE_HEADER, type UnreachableReason } from "../core/unreachable.ts";

export interface ProxySettings {
  /** URLs of proxies, by the scheme of the requests that go through them. */
  readonly proxies: Readonly<Partial<Record<"http" | "https", string>>>;
  readonly noProxy: string;
}

/** The proxies of the environment. As in curl, names in lower case come first. null: there is none. */
export function proxySettings(environment: Readonly<NodeJS.ProcessEnv>): ProxySettings | null | Failure {
  const read = (name: string): string => environment[name.toLowerCase()] ?? environment[name] ?? "";
  const proxies: Partial<Record<"http" | "https", string>> = {};
  for (const scheme of ["http", "https"] as const) {
    const name = `${scheme.toUpperCase()}_PROXY`;
    const given = read(name);
    if (given === "") continue;
    const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(given) ? given : `http://${given}`;
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
      return failure("invalid", `${name} must be the URL of an http proxy, such as http://proxy.example.com:3128.`);
    }
    proxies[scheme] = url;
  }
  return Object.keys(proxies).length === 0 ? null : { proxies, noProxy: read("NO_PROXY") };
}

/** What the Worker is told of the settings. */
export function proxiedRequests({ proxies, noProxy }: ProxySettings): ProxiedRequests {
  return { schemes: (["http", "https"] as const).filter((scheme) => proxies[scheme] !== undefined), noProxy };
}

/** More than a session token, the name of an object with every byte escaped, and S3's other headers take. */
const MAX_REQUEST_HEAD_BYTES = 64 * 1024;

export class OutboundProxy {
  /** In the form of workerd's command line. */
  readonly address: string;
  readonly close: () => void;

  private constructor(address: string, close: () => void) {
    this.address = address;
    this.close = close;
  }

  static async serve({ proxies }: ProxySettings): Promise<OutboundProxy> {
    // A new folder that only this user can open: a socket's path may not be as long as the path of a data folder.
    const folder = mkdtempSync(join(tmpdir(), "cairn-proxy-"));
    const path = join(folder, "socket");
    const agents = {
      "http:": new http.Agent({ keepAlive: true, proxyEnv: { HTTP_PROXY: proxies.http } }),
      "https:": new https.Agent({ keepAlive: true, proxyEnv: { HTTPS_PROXY: proxies.https } }),
    };
    const options = { requireHostHeader: false, maxHeaderSize: MAX_REQUEST_HEAD_BYTES };
    const server = http.createServer(options, (incoming, outgoing) => {
      incoming.on("error", () => outgoing.destroy());
      outgoing.on("error", () => incoming.destroy());
      try {
        pass(agents, incoming, outgoing);
      } catch {
        // Node refuses to send this request. It must not end the process, which serves all clients.
        outgoing.destroy();
      }
    });
    // The Worker sets the deadlines: a large object on a slow line may take long.
    server.requestTimeout = 0;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, resolve);
    });
    server.unref();
    return new OutboundProxy(`unix:${path}`, () => {
      server.close();
      server.closeAllConnections();
      for (const agent of Object.values(agents)) agent.destroy();
      rmSync(folder, { recursive: true, force: true });
    });
  }
}

interface Agents {
  readonly "http:": http.Agent;
  readonly "https:": https.Agent;
}

function pass(agents: Agents, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const url = URL.canParse(incoming.url ?? "") ? new URL(incoming.url ?? "") : null;
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:")) {
    outgoing.writeHead(400).end();
    return;
  }
  // As a record, to which the agent can add headers for the proxy.
  const headers: Record<string, string | string[]> = { host: url.host };
  for (const [name, value] of passedOn(incoming.rawHeaders)) {
    const before = headers[name];
    headers[name] = before === undefined ? value : [before, value].flat();
  }
  const options = { method: incoming.method, headers };
  const upstream =
    url.protocol === "https:"
      ? https.request(url, { ...options, agent: agents["https:"] })
      : http.request(url, { ...options, agent: agents["http:"] });
  const unreachable = (reason: UnreachableReason): void => {
    outgoing.writeHead(502, { [UNREACHABLE_HEADER]: reason }).end();
  };
  upstream.on("response", (answer) => {
    // Without a tunnel a proxy's own answers look like the host's, except for this one.
    if (url.protocol === "http:" && answer.statusCode === 407) {
      unreachable("refused-by-proxy");
      answer.destroy();
      return;
    }
    // When Node refuses to pass something on, it throws here. An answer that is cut short is cut short for the Worker too.
    try {
      outgoing.writeHead(answer.statusCode ?? 502, passedOn(answer.rawHeaders).flat());
      pipeline(answer, outgoing, () => undefined);
    } catch {
      outgoing.destroy();
    }
  });
  upstream.on("error", (error) => {
    if (outgoing.headersSent) outgoing.destroy();
    else unreachable(reasonOf(error));
  });
  incoming.pipe(upstream);
  outgoing.on("close", () => upstream.destroy());
}

/** Headers of a connection are not passed on. The last one may only be set by this file. */
const ofConnections = /^(host|connection|keep-alive|proxy-.*|te|trailer|upgrade|x-cairn-unreachable)$/i;

function passedOn(raw: readonly string[]): [string, string][] {
  const headers: [string, string][] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const [name = "", value = ""] = raw.slice(i, i + 2);
    if (!ofConnections.test(name)) headers.push([name, value]);
  }
  return headers;
}

const reasonOfCode = new Map<string, UnreachableReason>([
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "untrusted"],
  ["UNABLE_TO_GET_ISSUER_CERT", "untrusted"],
  ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "untrusted"],
  ["SELF_SIGNED_CERT_IN_CHAIN", "untrusted"],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", "untrusted"],
  ["ERR_TLS_CERT_ALTNAME_INVALID", "other-name"],
  ["CERT_HAS_EXPIRED", "out-of-date"],
  ["CERT_NOT_YET_VALID", "out-of-date"],
  ["ERR_SSL_WRONG_VERSION_NUMBER", "no-tls"],
  ["ERR_SSL_PACKET_LENGTH_TOO_LONG", "no-tls"],
  ["ERR_SSL_UNSUPPORTED_PROTOCOL", "no-common-tls"],
  ["ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE", "no-common-tls"],
  ["ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION", "no-common-tls"],
  ["ECONNREFUSED", "no-proxy"],
  ["ENOTFOUND", "no-proxy"],
  ["EAI_AGAIN", "no-proxy"],
  ["ETIMEDOUT", "no-proxy"],
  ["EHOSTUNREACH", "no-proxy"],
  ["ENETUNREACH", "no-proxy"],
]);

function reasonOf(error: Error): UnreachableReason {
  const code = String(Reflect.get(error, "code"));
  const status = Reflect.get(error, "statusCode");
  if (code === "ERR_PROXY_TUNNEL" && (status === 403 || status === 407)) return "refused-by-proxy";
  return reasonOfCode.get(code) ?? "failed-behind-proxy";
}
