/**
 * What one organization's long requests cost another one on the same `npm start`: its gets alone, and beside sixty requests of each kind at a
 * time; and what the long requests come to beside them and without.
 */
import { join } from "node:path";
import { pathOfKey } from "../../../src/codec/json-notation/key-path.ts";
import { encodeKey } from "../../../src/codec/key-codec.ts";
import { Connections, getRequest, postRequest } from "../load.ts";
import type { BenchOptions } from "../options.ts";
import { serveStart } from "../programs.ts";
import type { Report, Target } from "../report.ts";
import { type Cell, progress } from "../table.ts";

const MOST_DATABASES = 30;
const ENTRIES_PER_DATABASE = 10_000;
const REQUESTS_PER_DATABASE = 2;
const DOCUMENTS = 1000;
const SMALL = 2000;

/** Milliseconds of a get, of which half and one in a hundred take longer. */
const MOST_P50_MS = 20;
const MOST_P99_MS = 60;

const DEPLOYMENT_TOKEN = "deployment-token-of-the-bench";

export async function measureTenants(options: BenchOptions, folder: string): Promise<Report> {
  const server = await serveStart(join(folder, "tenants"), { CAIRN_DEPLOYMENT_TOKEN: DEPLOYMENT_TOKEN });
  try {
    const { url, address, organizationId, adminToken } = server;
    const count = Math.min(MOST_DATABASES, Math.ceil(options.maxEntries / ENTRIES_PER_DATABASE));
    progress(`tenants, ${count} databases are filled`);
    const databases: string[] = [];
    for (let i = 0; i < count; i += 1) databases.push(await filledDatabase(url, organizationId, adminToken));
    const kinds = Object.entries(longRequests(databases, adminToken));
    const crowd = () => Connections.open(address, REQUESTS_PER_DATABASE * count);
    const alone = new Map<string, number>();
    // Before anybody else uses the server.
    for (const [what, requests] of kinds) {
      progress(`tenants, ${what} alone`);
      const connections = await crowd();
      alone.set(what, (await connections.load(requests, options.seconds)).perSecond);
      connections.close();
    }
    const made = await asked(`${url}/api/organizations`, DEPLOYMENT_TOKEN, JSON.stringify({ name: "other" }));
    const other = made as { readonly organization: { readonly id: string }; readonly token: string };
    const own = await filledDatabase(url, other.organization.id, other.token);
    const key = encodeKey(["small", 7]);
    if (!key.ok) throw new Error(key.message);
    const gets = [getRequest(new URL(`${own}/entries/${pathOfKey(key.bytes)}`), headersOf(other.token))];
    const getter = await Connections.open(address, 1);
    const { p50Ms, p99Ms } = await getter.load(gets, options.seconds);
    const rows: Cell[][] = [["nothing", p50Ms, p99Ms, "", ""]];
    const targets: Target[] = [];
    for (const [what, requests] of kinds) {
      progress(`tenants, beside ${what}`);
      const connections = await crowd();
      const state = { isOver: false };
      const loaded = connections.loadUntil(requests, () => state.isOver);
      const get = await getter.load(gets, options.seconds);
      state.isOver = true;
      const beside = await loaded;
      connections.close();
      rows.push([what, get.p50Ms, get.p99Ms, beside.perSecond, alone.get(what) ?? 0]);
      targets.push({ what: `a get beside ${what}, p50 ms`, atMost: MOST_P50_MS, measured: get.p50Ms });
      targets.push({ what: `a get beside ${what}, p99 ms`, atMost: MOST_P99_MS, measured: get.p99Ms });
    }
    getter.close();
    return {
      tables: [
        {
          title: `A get of an organization beside ${REQUESTS_PER_DATABASE * count} long requests of another one at a time, on npm start`,
          columns: ["beside", "get, p50 ms", "get, p99 ms", "the long ones per second", "without the get"],
          rows,
        },
      ],
      targets,
    };
  } finally {
    await server.stop();
  }
}

/** For each kind a request of each database, as bytes. */
function longRequests(databases: readonly string[], token: string): Readonly<Record<string, readonly Buffer[]>> {
  const all = { orderType: "asc", ids: { id: "0" }, endIds: { id: "CDB:tableMaxId" }, rowsLimit: 1000 };
  const none = { conditionList: [{ column: "n", symbol: ">", value: DOCUMENTS }] };
  const keys = Array.from({ length: 1000 }, (_, i) => ["small", i]);
  const update = (i: number) => ({
    appId: "shop",
    tableId: "menu",
    action: "update",
    ids: { id: idOf(i) },
    columns: { price: i },
  });
  const posts: Readonly<Record<string, readonly [path: string, body: object | string]>> = {
    "getMany of 1,000 documents": ["tables/shop/menu:getMany", all],
    "getMany with a filter": ["tables/shop/menu:getMany", { ...all, filter: none }],
    "entries:get of 1,000 keys": ["entries:get", { keys }],
    "batches of 100 updates": ["tables:batch", { requests: Array.from({ length: 100 }, (_, i) => update(i)) }],
    "imports of 2,000 lines": ["import?values=plain&overwrite=true", linesOf("imported", SMALL, (i) => i)],
  };
  const lists = databases.map((url) =>
    getRequest(new URL(`${url}/entries?limit=1000&prefix=["small"]`), headersOf(token)),
  );
  const made = Object.entries(posts).map(([what, [path, body]]): [string, Buffer[]] => {
    const bytes = new TextEncoder().encode(typeof body === "string" ? body : JSON.stringify(body));
    const type = typeof body === "string" ? NDJSON : "application/json";
    return [
      what,
      databases.map((url) =>
        postRequest(new URL(`${url}/${path}`), { ...headersOf(token), "content-type": type }, bytes),
      ),
    ];
  });
  return Object.fromEntries([["lists of 1,000 entries", lists], ...made]);
}

const NDJSON = "application/x-ndjson";

/** The address of a new database. */
async function filledDatabase(url: string, organizationId: string, token: string): Promise<string> {
  const made = await asked(
    `${url}/api/organizations/${organizationId}/databases`,
    token,
    JSON.stringify({ name: "bench" }),
  );
  const database = `${url}/api/databases/${(made as { readonly id: string }).id}`;
  const document = (n: number) => ({ name: `document ${n}`, price: n % 977, n, text: "alpha beta gamma ".repeat(40) });
  const lines = [
    linesOf(
      "small",
      SMALL,
      (i) => i,
      (i) => ["small", i],
    ),
    linesOf("menu", DOCUMENTS, document),
  ];
  await asked(`${database}/import?values=plain`, token, lines.join(""), NDJSON);
  return database;
}

function idOf(index: number): string {
  return String(index).padStart(8, "0");
}

function linesOf(
  table: string,
  count: number,
  valueOf: (index: number) => unknown,
  keyOf: (index: number) => unknown = (index) => ["shop", table, idOf(index)],
): string {
  return Array.from({ length: count }, (_, i) => `${JSON.stringify({ key: keyOf(i), value: valueOf(i) })}\n`).join("");
}

function headersOf(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` };
}

async function asked(url: string, token: string, body: string, type = "application/json"): Promise<unknown> {
  const answer = await fetch(url, { method: "POST", headers: { ...headersOf(token), "content-type": type }, body });
  if (!answer.ok) throw new Error(`${url} was answered ${answer.status}: ${await answer.text()}`);
  return answer.json();
}
