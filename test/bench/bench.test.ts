import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runBench } from "./bench.ts";
import { scattered } from "./operations.ts";
import { parseBenchOptions, type PartName, partNames } from "./options.ts";
import type { Report, Table } from "./report.ts";
import { formatTable } from "./table.ts";

/** Of a table of each part. */
const TITLES: Record<PartName, string> = {
  "kv-connect": "KV Connect, HTTP/1.1",
  engine: "The engine's loop",
  rows: "Rows per operation",
  growth: "As the database grows",
  space: "Space",
  front: "Through the front of npm start",
  start: "From the start of a fresh workerd",
  directory: "Databases of one organization",
  deno: "Deno's own client through npm start",
  socket: "Idle sockets",
  http: "Plain HTTP",
  feed: "Readers of the change feed",
  documents: "The index of",
  archives: "Archives of",
  tenants: "A get of an organization",
};

/** Tables whose rows are known. */
const CHECKS: Partial<
  Record<PartName, readonly (readonly [title: string, check: (rows: Table["rows"] | undefined) => void])[]>
> = {
  "kv-connect": [
    [
      "KV Connect, HTTP/1.1, bare workerd",
      (rows) =>
        expect(rows?.map(([what, server]) => `${what}, ${server}`)).toEqual([
          "empty Worker, baseline",
          "empty object call, baseline",
          "one upsert, baseline",
          "both, 90/10, baseline",
          ...["get", "getMany10", "list100", "set", "atomic10", "sum", "mix90/10"].map((name) => `${name}, cairn`),
        ]),
    ],
  ],
  rows: [["Rows per operation", (rows) => expect(rows).toContainEqual(["set of a new key", 0, 1])]],
};

/** What a part compares with a target, among others. */
const TARGETS: Partial<Record<PartName, readonly string[]>> = {
  growth: ["get at 10000 entries, × at 1000"],
  directory: ["create among 200 databases, × among 100"],
};

/** The parts that wait for an object to sleep, or make many things, begin first. */
const LONG: readonly PartName[] = ["socket", "directory", "feed", "growth"];
const longFirst = partNames.toSorted((one, other) => Number(LONG.includes(other)) - Number(LONG.includes(one)));

/** More at a time would keep each other's watchers waiting, on a machine with two processors. */
const AT_A_TIME = 4;
let running = 0;
const waiting: (() => void)[] = [];

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running === AT_A_TIME) await new Promise<void>((resolve) => waiting.push(resolve));
  else running += 1;
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next === undefined) running -= 1;
    else next();
  }
}

/** What a part finds in a run of moments. */
async function measured(part: PartName): Promise<Report & { readonly printed: readonly string[] }> {
  // So short that the 100 watchers of a round are told of one commit each: of two commits a busy one is told the last alone.
  const moments = ["--connections", "2", "--rounds", "1", "--seconds", "0.03", "--max-entries", "10000"];
  const options = parseBenchOptions(["--parts", part, ...moments]);
  if (options === undefined) throw new Error("expected options");
  const folder = mkdtempSync(join(tmpdir(), "cairn-bench-test-"));
  const printed: string[] = [];
  try {
    return { ...(await runBench(options, folder, (text) => printed.push(text))), printed };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What they find in moments says nothing, but that every part still finds something. They share the processor with each other here. */
describe.concurrent("every part of the bench measures what it is for", { timeout: 400_000 }, () => {
  test.each(longFirst)("%s", async (part) => {
    const { tables, targets, printed } = await inTurn(() => measured(part));
    expect(printed.some((table) => table.includes(TITLES[part]))).toBe(true);
    expect(targets.filter((target) => !(target.measured > 0 && target.measured < 1_000_000))).toEqual([]);
    expect(printed.at(-1)?.includes("What it must reach")).toBe(targets.length > 0);
    const byTitle = new Map(tables.map((table) => [table.title, table.rows]));
    for (const [title, check] of CHECKS[part] ?? []) check(byTitle.get(title));
    expect(targets.map(({ what }) => what)).toEqual(expect.arrayContaining([...(TARGETS[part] ?? [])]));
  });
});

test.each([
  ["SIGTERM", 60_000],
  ["SIGKILL", 100],
])("a bench whose event loop is blocked ends by %s, and its folder is removed", async (signal, deadlineMs) => {
  const folder = mkdtempSync(join(tmpdir(), "cairn-bench-test-"));
  const script = `
    import { keepWatch } from ${JSON.stringify(new URL("deadline.ts", import.meta.url).href)};
    keepWatch(${JSON.stringify(folder)}, ${deadlineMs});
    process.stdout.write("watched");
    setTimeout(() => { for (;;); }, 0);`;
  const bench = spawn(process.execPath, ["--input-type=module", "--eval", script]);
  const ended = once(bench, "exit");
  await once(bench.stdout, "data");
  // By the other signal it is the deadline that ends it.
  if (signal === "SIGTERM") bench.kill("SIGTERM");
  expect(await ended).toEqual([null, signal]);
  await expect.poll(() => existsSync(folder)).toBe(false);
});

test("a peer is named by its connect URL and a token; anything else is refused by name", () => {
  expect(parseBenchOptions(["--peer", "denokv=http://127.0.0.1:4600/,secret,2"])?.peers).toEqual([
    { name: "denokv", connectUrl: "http://127.0.0.1:4600/", accessToken: "secret,2" },
  ]);
  expect(() => parseBenchOptions(["--peer", "denokv"])).toThrow("--peer");
  expect(() => parseBenchOptions(["--only", "got"])).toThrow('--only: there is no "got"');
  expect(() => parseBenchOptions(["--rounds", "0"])).toThrow("--rounds");
  expect(parseBenchOptions(["--help"])).toBeUndefined();
});

test("keys are scattered without missing or repeating any", () => {
  for (const count of [1000, 1024, 10_000]) {
    const places = Array.from({ length: count }, (_, index) => scattered(index, count));
    expect(new Set(places).size).toBe(count);
    expect(Math.min(...places)).toBe(0);
    expect(Math.max(...places)).toBe(count - 1);
  }
});

test("tables align texts to the left and numbers to the right", () => {
  expect(
    formatTable(
      "T",
      ["what", "n"],
      [
        ["a", 12345],
        ["longer", 1.5],
      ],
    ),
  ).toBe("\nT\nwhat         n\na       12,345\nlonger    1.50");
});
