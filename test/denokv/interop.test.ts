/**
 * The existing tool, unmodified, over our bucket: it syncs every generation, lists a point for each commit, and what it checks out
 * at each of them is what the database held. Then the real Deno opens the file.
 */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { equalBytes } from "../../src/core/bytes.ts";
import type { BackupInfo } from "../../src/contracts/backup-commands.ts";
import type { AtomicWrite, Mutation } from "../../src/core/operations.ts";
import { timeOfVersion, type Version, versionstampHex } from "../../src/core/versionstamp.ts";
import { readOnlyOwner, runDeno } from "../codec/deno.ts";
import { BackupServer, type ServedDatabase } from "../support/backup-server.ts";
import { raw, set, workload } from "../support/backup-workload.ts";
import { Model } from "../support/model.ts";
import { type S3Server, startS3Server } from "../support/s3-server.ts";
import { denokv, entriesOf, listPoints, s3Arguments, s3Environment } from "./denokv.ts";

const SMALL_VALUE_BYTES = 6_000;
const BLOB_BYTES = 64_000;
const BLOBS = 400;
const SEED = 20261122;

interface Committed {
  readonly version: Version;
  readonly write: AtomicWrite;
  readonly at: number;
}

const folder = mkdtempSync(join(tmpdir(), "cairn-denokv-"));
const committed: Committed[] = [];
let s3: S3Server;
let server: BackupServer;
let database: ServedDatabase;
let info: BackupInfo;

async function commit(write: AtomicWrite): Promise<void> {
  const at = Date.now();
  committed.push({ version: await database.commit(write), write, at });
}

/** Overwrites a hundred of the blobs: about 6.4 MB of log. */
function blobs(round: number): AtomicWrite {
  const mutations = Array.from({ length: 100 }, (_, i) =>
    set(["blob", (round * 100 + i) % BLOBS], raw(new Uint8Array(BLOB_BYTES).fill(round))),
  );
  return { checks: [], mutations, enqueues: [] };
}

beforeAll(async () => {
  s3 = await startS3Server();
  server = await BackupServer.start();
  database = server.database();
  const writes = workload(2_600, SEED);
  const commitMany = async (count: number): Promise<void> => {
    for (const plan of writes.splice(0, count)) await commit(plan(Date.now()));
  };
  await commitMany(300);
  for (let round = 0; round < 4; round++) await commit(blobs(round));
  await database.enable(s3, "a prefix/of mine");
  // The snapshot has several ranges, and writes go on between them.
  while ((await database.info()).status.code === "pending") await commitMany(10);
  await commitMany(800);
  for (let round = 4; round < 16; round++) {
    await commit(blobs(round));
    await commitMany(20);
  }
  while (!(await database.info()).generations.some(({ state }) => state === "retired")) await commitMany(5);
  await commitMany(writes.length);
  info = await database.until("settled", ({ backlogBytes }) => backlogBytes === 0);
}, 300_000);

afterAll(async () => {
  await server.close();
  await s3.close();
  rmSync(folder, { recursive: true, force: true });
});

describe("a backup that denokv reads", () => {
  test("has two generations, the first with a snapshot of several ranges", () => {
    expect(info.generations.map(({ state }) => state)).toEqual(["retired", "complete"]);
    expect(info.lastError).toBeNull();
  });

  test("has thousands of commits of every kind, in each generation, and some between the ranges of its snapshot", () => {
    for (const { prefix, after, upTo } of info.generations) {
      const start = Number.parseInt(prefix.split("/").at(-2) ?? "", 16);
      const within = (from: number, to: number): AtomicWrite[] =>
        committed.filter(({ version }) => version > from && version <= to).map(({ write }) => write);
      const points = within(after ?? Infinity, upTo ?? 0);
      const kinds = new Set(points.flatMap(({ mutations }) => mutations.map(kindOf)));
      expect([...kinds].toSorted()).toEqual([
        "delete",
        "expiring set",
        "max",
        "min",
        "set",
        "sum",
        "versionstamped set",
      ]);
      expect(points.length).toBeGreaterThan(500);
      expect(points.some(({ mutations }) => mutations.length === 1_000)).toBe(true);
      expect(within(start, after ?? 0).length, "commits while the snapshot was taken").toBeGreaterThan(0);
    }
    expect(committed.length).toBeGreaterThan(2_500);
  });

  test.each([0, 1])(
    "generation %i: every listed point checked out is the state at that commit (B21)",
    { timeout: 900_000 },
    async (index) => {
      const generation = info.generations[index];
      if (generation === undefined || generation.after === null || generation.upTo === null) throw new Error("none");
      const { after, upTo } = generation;
      const file = join(folder, `${index}.sqlite`);
      await denokv(file, ["pitr", "sync", ...s3Arguments(s3, generation.prefix)], s3Environment(s3));
      const points = await listPoints(file);
      const listed = new Set(points);
      const expected = committed.filter(({ version, write }) => version > after && version <= upTo && changes(write));
      expect(expected.filter(({ version }) => !listed.has(version)).length, "commits that are no points").toBe(0);
      expect(listed).toContain(upTo);

      const model = new Model();
      let next = 0;
      for (const [i, point] of points.entries()) {
        for (let one = committed[next]; one !== undefined && one.version <= point; one = committed[++next]) {
          model.apply(one.write, one.version, one.at);
        }
        await denokv(file, ["pitr", "checkout", versionstampHex(point)]);
        const whole = i % 50 === 0 || i === points.length - 1;
        expectState(file, model, point, whole ? BLOB_BYTES : SMALL_VALUE_BYTES);
      }
    },
  );

  test("the real Deno opens the file that was checked out last, once it is made read-only", () => {
    const file = join(folder, "1.sqlite");
    chmodSync(folder, 0o777);
    chmodSync(file, 0o444);
    const counted = runDeno(
      `const kv = await Deno.openKv(input.file);
       const counts = {};
       for await (const { key } of kv.list({ prefix: [] })) counts[key[0]] = (counts[key[0]] ?? 0) + 1;
       const last = await kv.get(["many", 999]);
       kv.close();
       console.log(JSON.stringify({ counts, last: last.value }));`,
      { file },
      readOnlyOwner(),
    );
    expect(counted).toMatchObject({ counts: { blob: BLOBS, many: 1_000 }, last: expect.stringMatching(/ 999$/) });
  });
});

function kindOf(mutation: Mutation): string {
  if (mutation.type !== "set") return mutation.type;
  if (mutation.versionstampedKey) return "versionstamped set";
  return mutation.expiresAt === null ? "set" : "expiring set";
}

/** A commit whose every delete met nothing leaves no trace; these are not expected to be points. */
function changes({ mutations }: AtomicWrite): boolean {
  return mutations.some(({ type }) => type !== "delete");
}

/** The file holds what the model does, but for entries whose time was over and that were deleted meanwhile. */
function expectState(file: string, model: Model, point: Version, maxValueBytes: number): void {
  const entries = entriesOf(file, maxValueBytes);
  for (const [name, expected] of model.entries) {
    const found = entries.get(name);
    if (found === undefined) {
      const isOver = expected.expiresAt !== null && expected.expiresAt <= timeOfVersion(point);
      if (!isOver) throw new Error(`at ${versionstampHex(point)}: key ${name} is missing`);
      continue;
    }
    const same =
      found.version === expected.version &&
      found.encoding === expected.encoding &&
      found.length === expected.value.length &&
      (found.value === null || equalBytes(found.value, expected.value));
    if (!same) throw new Error(`at ${versionstampHex(point)}: key ${name} differs: ${JSON.stringify(found)}`);
    entries.delete(name);
  }
  expect([...entries.keys()], `keys that should be gone at ${versionstampHex(point)}`).toEqual([]);
}
