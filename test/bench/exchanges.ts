/**
 * `npm run bench:exchanges -- [seconds]` (190): how often the real clients exchange their token while a database is open, idle and
 * reading once a second, when the token lives an hour. The server only counts. Prints a line of JSON for each: after how many seconds.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { AddressInfo, Server } from "node:net";
import { fileURLToPath } from "node:url";
import { openKv } from "@deno/kv";

const HOUR_MS = 60 * 60 * 1000;
const denoBinary = fileURLToPath(new URL("../../node_modules/.bin/deno", import.meta.url));
const seconds = Number(process.argv[2] ?? 190);

/** A read of one range that is empty: read_is_strongly_consistent, status SR_SUCCESS. */
const NOTHING_READ = Buffer.from([0x0a, 0x00, 0x20, 0x01, 0x40, 0x01]);

interface Answer {
  readonly type: string;
  readonly body: string | Buffer;
}

/** What a client is answered, and when it exchanged. */
class Counter {
  readonly #began = Date.now();
  readonly exchanges: number[] = [];

  answer(path: string): Answer {
    if (!path.endsWith("/connect")) return { type: "application/x-protobuf", body: NOTHING_READ };
    this.exchanges.push(Math.round((Date.now() - this.#began) / 1000));
    const body = JSON.stringify({
      version: 3,
      databaseId: "e0ef4b0c-4335-42b3-8da6-b5f2caa79ff2",
      endpoints: [{ url: "/databases/e0ef4b0c-4335-42b3-8da6-b5f2caa79ff2", consistency: "strong" }],
      token: "a token",
      expiresAt: new Date(Date.now() + HOUR_MS).toISOString(),
    });
    return { type: "application/json", body };
  }
}

/** Deno opens HTTP/2 with prior knowledge. */
function serveDeno(counter: Counter): Server {
  const server = createHttp2Server();
  server.on("stream", (stream, headers) => {
    stream.resume().on("end", () => {
      const { type, body } = counter.answer(String(headers[":path"]));
      stream.respond({ ":status": 200, "content-type": type });
      stream.end(body);
    });
  });
  return server;
}

function serveNode(counter: Counter): Server {
  return createServer((request, response) => {
    request.resume().on("end", () => {
      const { type, body } = counter.answer(request.url ?? "");
      response.writeHead(200, { "content-type": type }).end(body);
    });
  });
}

async function useDeno(url: string, reads: boolean): Promise<void> {
  const program = `const kv = await Deno.openKv(${JSON.stringify(url)});
    for (let i = 0; i < ${seconds}; i++) { if (${reads}) await kv.get(["a"]); await new Promise((next) => setTimeout(next, 1000)); }
    kv.close();`;
  const environment = { ...process.env, DENO_KV_ACCESS_TOKEN: "a token", DENO_NO_UPDATE_CHECK: "1" };
  const args = [
    "run",
    "--allow-all",
    "--unstable-kv",
    "--no-config",
    `data:text/javascript,${encodeURIComponent(program)}`,
  ];
  const deno = spawn(denoBinary, args, { stdio: ["ignore", "inherit", "inherit"], env: environment });
  await once(deno, "exit");
}

async function useNode(url: string, reads: boolean): Promise<void> {
  const kv = await openKv(url, { accessToken: "a token" });
  for (let i = 0; i < seconds; i++) {
    if (reads) await kv.get(["a"]);
    await new Promise((next) => setTimeout(next, 1000));
  }
  kv.close();
}

async function measure(client: string, reads: boolean): Promise<void> {
  const counter = new Counter();
  const server = client === "deno" ? serveDeno(counter) : serveNode(counter);
  await once(server.listen(0, "127.0.0.1"), "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/connect`;
  await (client === "deno" ? useDeno(url, reads) : useNode(url, reads));
  server.close();
  const line = { client, use: reads ? "a read a second" : "idle", seconds, exchangedAt: counter.exchanges };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

await Promise.all(["deno", "@deno/kv"].flatMap((client) => [measure(client, false), measure(client, true)]));
process.exit();
