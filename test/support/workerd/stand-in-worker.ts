/** A Worker that shows what the local server passes through, and an object that counts: for tests of src/local alone. */
import { DurableObject } from "cloudflare:workers";

interface Env {
  readonly COUNTERS: DurableObjectNamespace<Counter>;
  readonly CAIRN_DEPLOYMENT_TOKEN: string;
  readonly DESTINATIONS: Fetcher;
}

export class Counter extends DurableObject {
  /** Answered only when the new count is on the disk. */
  increment(): number {
    const { sql } = this.ctx.storage;
    sql.exec("CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY, count INTEGER)");
    sql.exec("INSERT INTO counter VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET count = count + 1");
    return Number(sql.exec("SELECT count FROM counter").one()["count"]);
  }
}

/** When each stream wrote last, in milliseconds. */
const lastTicks: number[] = [];

let slowRequests = 0;

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname } = new URL(request.url);
    switch (pathname) {
      case "/count":
        return new Response(String(await env.COUNTERS.getByName("only").increment()));
      case "/echo":
        return new Response(request.body, { headers: { "x-method": request.method } });
      case "/token":
        return new Response(env.CAIRN_DEPLOYMENT_TOKEN);
      case "/host":
        return new Response(request.headers.get("host"));
      case "/destination":
        return new Response(await env.DESTINATIONS.fetch(await request.text()).then(() => "answered", String));
      case "/slow":
        slowRequests += 1;
        await scheduler.wait(1_500);
        return new Response("finished");
      case "/slow-requests":
        return new Response(String(slowRequests));
      case "/ticks":
        return new Response(ticks(), { headers: { "content-type": "application/octet-stream" } });
      case "/open-streams":
        return new Response(String(lastTicks.filter((at) => at > Date.now() - 500).length));
      case "/socket":
        return echoSocket();
      default:
        return new Response("no such path", { status: 404 });
    }
  },
};

/** One byte every 20 ms. The runtime stops the request of a client that went away without a word to it, in mid-await. */
function ticks(): ReadableStream {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const write = async (): Promise<never> => {
    const writer = writable.getWriter();
    const index = lastTicks.push(0) - 1;
    for (;;) {
      await writer.write(new Uint8Array([46]));
      lastTicks[index] = Date.now();
      await scheduler.wait(20);
    }
  };
  void write();
  return readable;
}

function echoSocket(): Response {
  const { 0: client, 1: server } = new WebSocketPair();
  server.accept();
  server.addEventListener("message", (event) => server.send(event.data));
  return new Response(null, { status: 101, webSocket: client });
}
