/** The management API over HTTP with many databases in one organization, against an organization with few, in the same rounds. */
import { join } from "node:path";
import { Connections, getRequest, postRequest } from "../load.ts";
import type { BenchOptions } from "../options.ts";
import type { Report, Target } from "../report.ts";
import { httpSeries, measureRounds, ratioOf } from "../rounds.ts";
import { serveCairn, type Cairn } from "../servers.ts";
import { median } from "../statistics.ts";
import { progress, type Cell } from "../table.ts";

const FEW = 100;
const MANY = 10_000;
const CONNECTIONS = 8;
/** Creates of one round: few enough that the smaller organization stays about as large as it is. */
const CREATES = 16;
const PAGE = 20;
const LEAST_HELD = 0.8;

interface TenantOf {
  readonly id: string;
  readonly headers: Readonly<Record<string, string>>;
}

export async function measureDirectory(options: BenchOptions, folder: string): Promise<Report> {
  const cairn = await serveCairn(join(folder, "directory"));
  const connections = await Connections.open(cairn.address, CONNECTIONS);
  try {
    const many = Math.min(MANY, options.maxEntries / 50);
    const [small, large] = [await newOrganization(cairn), await newOrganization(cairn)];
    await create(cairn, connections, small, FEW);
    progress(`directory: making ${many} databases`);
    await create(cairn, connections, large, many);

    const rows: Cell[][] = [];
    const targets: Target[] = [];
    const show = (what: string, few: Sizes, more: Sizes) => {
      const ratio = ratioOf(more.perSecondOfRounds, few.perSecondOfRounds);
      rows.push([what, few.p50Ms.toFixed(2), more.p50Ms.toFixed(2), ratio.toFixed(2)]);
      targets.push({ what: `${what} among ${many} databases, × among ${FEW}`, atLeast: LEAST_HELD, measured: ratio });
    };

    const asked = [await questions(cairn, small, FEW), await questions(cairn, large, many)] as const;
    for (const what of QUESTIONS) {
      progress(`directory: ${what}`);
      const series = [httpSeries("few", connections, asked[0][what]), httpSeries("many", connections, asked[1][what])];
      const results = await measureRounds(series, options);
      const [few, more] = [results.get("few"), results.get("many")];
      if (few === undefined || more === undefined) throw new Error("expected both to be measured");
      show(what, few, more);
    }
    progress("directory: create");
    const [few, more] = await createRounds(cairn, connections, large, options.rounds);
    show("create", few, more);
    const columns = ["what", `p50 ms among ${FEW}`, `p50 ms among ${many}`, "ratio per second"];
    const title = `Databases of one organization, management API, ${CONNECTIONS} connections`;
    return { tables: [{ title, columns, rows }], targets };
  } finally {
    connections.close();
    await cairn.stop();
  }
}

interface Sizes {
  readonly p50Ms: number;
  readonly perSecondOfRounds: readonly number[];
}

const QUESTIONS = [
  "get",
  "page by cursor, in the middle",
  "page by number, the first",
  "page by number, in the middle",
] as const;

/** Each round has an organization of its own as the smaller one, so that it is as small as it says. */
async function createRounds(
  cairn: Cairn,
  connections: Connections,
  large: TenantOf,
  rounds: number,
): Promise<readonly [Sizes, Sizes]> {
  const [few, more]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const small = await newOrganization(cairn);
    await create(cairn, connections, small, FEW);
    const both = [
      { tenant: small, seconds: few },
      { tenant: large, seconds: more },
    ];
    for (const { tenant, seconds } of round % 2 === 0 ? both : both.toReversed()) {
      const start = performance.now();
      await create(cairn, connections, tenant, CREATES);
      seconds.push((performance.now() - start) / 1000);
    }
  }
  const sizes = (seconds: readonly number[]): Sizes => ({
    // All connections are busy all the time.
    p50Ms: (median(seconds) * 1000 * CONNECTIONS) / CREATES,
    perSecondOfRounds: seconds.map((each) => CREATES / each),
  });
  return [sizes(few), sizes(more)];
}

async function newOrganization({ url, deploymentToken }: Cairn): Promise<TenantOf> {
  const answer = await fetch(`${url}/api/organizations`, {
    method: "POST",
    headers: { authorization: `Bearer ${deploymentToken}` },
    body: '{"name":"bench"}',
  });
  // The API's own shape; another would fail at the first use.
  const { organization, token } = (await answer.json()) as { organization: { id: string }; token: string };
  return { id: organization.id, headers: { authorization: `Bearer ${token}`, "content-type": "application/json" } };
}

/** Through /v1, which answers with 200, as the load generator expects. */
async function create({ url }: Cairn, connections: Connections, { id, headers }: TenantOf, count: number) {
  const request = postRequest(new URL(`${url}/v1/organizations/${id}/databases`), headers, Buffer.from("{}"));
  await connections.sendAll(Array.from({ length: count }, () => request));
}

async function questions(
  { url }: Cairn,
  { id, headers }: TenantOf,
  count: number,
): Promise<Record<(typeof QUESTIONS)[number], Buffer[]>> {
  const list = `${url}/api/organizations/${id}/databases`;
  const ids: string[] = [];
  const cursors: string[] = [];
  for (let cursor: string | undefined = "", next = ""; cursor !== undefined; next = `&cursor=${cursor}`) {
    const answer = await fetch(`${list}?limit=${PAGE}${next}`, { headers });
    // As above.
    const page = (await answer.json()) as { items: { id: string }[]; next?: string };
    ids.push(...page.items.map((database) => database.id));
    cursor = page.next;
    if (cursor !== undefined) cursors.push(cursor);
  }
  const get = (path: string) => getRequest(new URL(path), headers);
  const middle = cursors[Math.floor(cursors.length / 2)] ?? "";
  const numbered = (page: number) => [get(`${url}/v1/organizations/${id}/databases?limit=${PAGE}&page=${page}`)];
  return {
    get: ids.map((databaseId) => get(`${url}/api/databases/${databaseId}`)),
    "page by cursor, in the middle": [get(`${list}?limit=${PAGE}&cursor=${middle}`)],
    "page by number, the first": numbered(1),
    "page by number, in the middle": numbered(Math.floor(count / PAGE / 2)),
  };
}
