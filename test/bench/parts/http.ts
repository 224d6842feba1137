/** Plain HTTP with JSON, against the same through KV Connect, on workerd's own port and through the front; and whole databases as files. */
import { join } from "node:path";
import { pathOfKey } from "../../../src/codec/json-notation/key-path.ts";
import { Connections, getRequest, putRequest } from "../load.ts";
import { entryKey, scattered } from "../operations.ts";
import type { BenchOptions } from "../options.ts";
import type { Report, Target } from "../report.ts";
import { httpSeries, measureRounds, ratioOf } from "../rounds.ts";
import { residentBytes } from "../memory.ts";
import { type Cairn, newDatabase, serveCairn, serveFront } from "../servers.ts";
import { progress, type Cell } from "../table.ts";
import { fillingCalls, VALUE_BYTES, workloads } from "../workloads.ts";

const ENTRIES = 1000;
const DISTINCT = 1000;
const LEAST_OF_KV_CONNECT = 0.9;
const LEAST_ENTRIES_PER_SECOND = 20_000;
const CONNECTIONS_OF_TARGET = 32;

export async function measureHttp(options: BenchOptions, folder: string): Promise<Report> {
  const served = join(folder, "http");
  const cairn = await serveCairn(served);
  const front = await serveFront(cairn.address, served);
  try {
    const filler = await Connections.open(cairn.address, 1);
    await filler.sendAll(Array.from(fillingCalls(ENTRIES), cairn.request));
    filler.close();
    const rows: Cell[][] = [];
    const targets: Target[] = [];
    for (const count of options.connections) {
      for (const [where, address] of Object.entries({ "workerd's port": cairn.address, "the front": front.address })) {
        progress(`plain HTTP, ${count} connections, ${where}`);
        const connections = await Connections.open(address, count);
        for (const { name, kvConnect, http } of comparisons(cairn)) {
          if (!options.only.includes(name)) continue;
          const results = await measureRounds(
            [httpSeries("KV Connect", connections, kvConnect), httpSeries("HTTP", connections, http)],
            options,
          );
          const [before, after] = [results.get("KV Connect"), results.get("HTTP")];
          if (before === undefined || after === undefined) throw new Error("expected both to be measured");
          const ratio = ratioOf(after.perSecondOfRounds, before.perSecondOfRounds);
          rows.push([name, where, count, Math.round(after.perSecond), Math.round(before.perSecond), ratio.toFixed(2)]);
          if (count === CONNECTIONS_OF_TARGET) {
            const what = `HTTP ${name} at ${count} connections on ${where}, × KV Connect`;
            targets.push({ what, atLeast: LEAST_OF_KV_CONNECT, measured: ratio });
          }
        }
        connections.close();
      }
    }
    const columns = ["what", "on", "connections", "HTTP", "KV Connect", "ratio"];
    const files = await measureFiles(cairn, options);
    return {
      tables: [{ title: "Plain HTTP, per second", columns, rows }, ...files.tables],
      targets: [...targets, ...files.targets],
    };
  } finally {
    await Promise.all([front.stop(), cairn.stop()]);
  }
}

/** The same entries by both protocols. */
function comparisons({ databaseId, token, url, request }: Cairn) {
  const authorization = `Bearer ${token}`;
  const entryUrl = (index: number) =>
    new URL(`${url}/api/databases/${databaseId}/entries/${pathOfKey(entryKey(scattered(index % ENTRIES, ENTRIES)))}`);
  const numbers = Array.from({ length: DISTINCT }, (_, index) => index);
  const body = new TextEncoder().encode(`{"type":"string","value":"${"a".repeat(VALUE_BYTES)}"}`);
  const kvConnect = (name: string) =>
    workloads(ENTRIES)
      .find((each) => each.name === name)
      ?.calls.map(request) ?? [];
  return [
    {
      name: "get" as const,
      kvConnect: kvConnect("get"),
      http: numbers.map((index) => getRequest(entryUrl(index), { authorization })),
    },
    {
      name: "set" as const,
      kvConnect: kvConnect("set"),
      http: numbers.map((index) => putRequest(entryUrl(index), { authorization }, body)),
    },
  ];
}

/** An import, a count, an export and a delete of as many entries as the options say, and what workerd's memory is meanwhile. */
async function measureFiles(cairn: Cairn, { maxEntries }: BenchOptions): Promise<Report> {
  const { url, adminToken, pid } = cairn;
  const database = `${url}/api/databases/${await newDatabase(cairn)}`;
  const headers = { authorization: `Bearer ${adminToken}` };
  const rows: Cell[][] = [];
  const targets: Target[] = [];
  const measure = async (what: string, work: () => Promise<Response>): Promise<void> => {
    progress(`${what} of ${maxEntries} entries`);
    let most = 0;
    const watching = setInterval(() => (most = Math.max(most, residentBytes(pid))), 50);
    const start = performance.now();
    const answer = await work();
    let bytes = 0;
    for await (const piece of answer.body ?? []) bytes += piece.length;
    clearInterval(watching);
    if (!answer.ok) throw new Error(`the ${what} was answered ${answer.status}`);
    const perSecond = maxEntries / ((performance.now() - start) / 1000);
    rows.push([what, maxEntries, Math.round(perSecond), Math.round(bytes / 1e6), Math.round(most / 1e6)]);
    if (what === "import" || what === "export") {
      targets.push({ what: `${what}, entries per second`, atLeast: LEAST_ENTRIES_PER_SECOND, measured: perSecond });
    }
  };
  await measure("import", () =>
    fetch(`${database}/import`, {
      method: "POST",
      headers,
      body: ReadableStream.from(lines(maxEntries)),
      duplex: "half",
    }),
  );
  await measure("count", () => fetch(`${database}/count`, { headers }));
  await measure("export", () => fetch(`${database}/export`, { headers }));
  const columns = ["what", "entries", "per second", "MB of answer", "MB of workerd at most"];
  return { tables: [{ title: "Whole databases over plain HTTP", columns, rows }], targets };
}

function* lines(entries: number): Generator<Uint8Array> {
  const encoder = new TextEncoder();
  let piece = "";
  for (let i = 0; i < entries; i++) {
    piece += `{"key":[{"type":"string","value":"file"},{"type":"number","value":${i}}],"value":{"type":"object","value":{"name":{"type":"string","value":"${"x".repeat(VALUE_BYTES)}"},"n":{"type":"number","value":${i}}}}}\n`;
    if (piece.length < 64 * 1024) continue;
    yield encoder.encode(piece);
    piece = "";
  }
  yield encoder.encode(piece);
}
