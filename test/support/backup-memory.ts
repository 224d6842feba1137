/**
 * The memory of the isolate while a database is backed up and brought back: a snapshot, a log as large, a compaction if that is large
 * enough, a verification, a restore in place and a fork, one after the other. All objects share one isolate here, so two of them, as
 * at a verification, count together.
 */
import { randomUUID } from "node:crypto";
import type { BackupInfo } from "../../src/contracts/backup-commands.ts";
import { versionstampHex } from "../../src/core/versionstamp.ts";
import { BackupServer, type ServedDatabase } from "./backup-server.ts";
import { raw, set } from "./backup-workload.ts";
import { freePort, IsolateMemory, type Peaks } from "./isolate-memory.ts";
import { type S3Server, startS3Server } from "./s3-server.ts";
import { ServedRestores } from "./served-restores.ts";

const HOUR_MS = 3_600_000;

/** From so many entries on the second round of writing makes a log that a new generation begins after. */
const COMPACTED_FROM = 500_000;

const ENTRIES_OF_A_COMMIT = 500;

export interface MemoryPhase extends Peaks {
  readonly phase: string;
  readonly seconds: number;
}

export interface MeasuredDatabase {
  readonly entries: number;
  readonly valueBytes: number;
}

/** `note` is called after each phase. */
export async function measureBackupMemory(
  measured: MeasuredDatabase,
  note: (phase: MemoryPhase) => void,
): Promise<void> {
  const port = await freePort();
  const s3 = await startS3Server();
  const server = await BackupServer.start(IsolateMemory.flags(port));
  try {
    const memory = await IsolateMemory.open(port, () => server.collectGarbage());
    await measure(measured, s3, server, async (phase, work) => {
      const began = performance.now();
      const { result, peaks } = await memory.during(work);
      note({ phase, ...peaks, seconds: Math.round((performance.now() - began) / 100) / 10 });
      return result;
    });
    memory.close();
  } finally {
    await server.close();
    await s3.close();
  }
}

async function measure(
  measured: MeasuredDatabase,
  s3: S3Server,
  server: BackupServer,
  phase: <T>(name: string, work: () => Promise<T>) => Promise<T>,
): Promise<void> {
  const database = server.database();
  const restores = new ServedRestores(server, database.id);
  await phase("writing without a backup", () => fill(database, measured, 1));
  await database.enable(s3);
  const first = await phase("snapshot", () => database.until("active", hasCompleteAfter(null), HOUR_MS));
  await phase("writing and exporting the log", async () => {
    await fill(database, measured, 2);
    await database.until("shipped", ({ backlogBytes }) => backlogBytes === 0, HOUR_MS);
  });
  if (measured.entries >= COMPACTED_FROM) {
    await phase("writing until there is a new generation, and its snapshot", async () => {
      await fill(database, measured, 3);
      await database.until("compacted", hasCompleteAfter(first), HOUR_MS);
    });
  }
  await phase("verification", async () => {
    await restores.job({ command: "verify", jobId: "verify" });
    await completed(restores, "verify");
  });
  const last = { checks: [], mutations: [set(["last"], raw(new Uint8Array()))], enqueues: [] };
  const at = versionstampHex(await database.commit(last));
  const before = await database.until("shipped", ({ backlogBytes }) => backlogBytes === 0);
  await phase("restore in place", async () => {
    await restores.job({ command: "restore", jobId: "restore", at });
    await completed(restores, "restore");
  });
  await phase("the generation after it", () => database.until("complete", hasCompleteAfter(before), HOUR_MS));
  await phase("fork", async () => {
    const fork = new ServedRestores(server, randomUUID());
    const { destination, databaseId } = database.enabling(s3);
    const from = { command: "restore from", databaseId, destination, at, withoutManifest: false } as const;
    await fork.job({ ...from, jobId: "fork" });
    await completed(fork, "fork");
  });
}

async function fill(database: ServedDatabase, { entries, valueBytes }: MeasuredDatabase, round: number): Promise<void> {
  const value = raw(new Uint8Array(valueBytes).fill(round));
  for (let from = 0; from < entries; from += ENTRIES_OF_A_COMMIT) {
    const mutations = Array.from({ length: ENTRIES_OF_A_COMMIT }, (_, i) => set(["entries", from + i], value));
    await database.commit({ checks: [], mutations, enqueues: [] });
  }
}

async function completed(restores: ServedRestores, jobId: string): Promise<void> {
  const job = await restores.finished(jobId, undefined, HOUR_MS);
  if (job.status !== "completed") throw new Error(JSON.stringify(job));
}

/** A generation is complete that is newer than all that there were. */
function hasCompleteAfter(before: BackupInfo | null): (info: BackupInfo) => boolean {
  const known = new Set(before?.generations.map(({ prefix }) => prefix));
  return ({ generations }) => generations.some(({ state, prefix }) => state === "complete" && !known.has(prefix));
}
