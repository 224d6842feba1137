/**
 * workerd killed with SIGKILL while an archive is made and while one is restored, in the middle: the archive is whole, the database is
 * the old one or the archive's, and the folder of archives has nothing else.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test, vi } from "vitest";
import { verifyArchive } from "../../src/client/archive.ts";
import { startTestServer } from "../support/server.ts";

const server = await startTestServer();
afterAll(() => server.close());
const base = `${server.url}/api/databases/${server.databaseId}`;
const authorization = `Bearer ${server.adminToken}`;
const ENTRIES = 6_000;

// oxlint-disable-next-line typescript/no-explicit-any -- what a test reads of it, it compares
async function ask(method: string, path: string, body?: string): Promise<any> {
  // While workerd starts anew, nobody answers or an answer breaks off.
  return vi.waitFor(
    async () => {
      const answer = await fetch(path.startsWith("/") ? server.url + path : `${base}/${path}`, {
        method,
        headers: { authorization },
        ...(body === undefined ? {} : { body }),
      });
      const text = await answer.text();
      if (answer.status >= 500) throw new Error(text);
      return JSON.parse(text);
    },
    { timeout: 60_000, interval: 50 },
  );
}

/** Kills workerd while the job is under way, and returns how the job ended. */
// oxlint-disable-next-line typescript/no-explicit-any -- as above
async function endedUnderKills(jobId: string): Promise<any> {
  let isKilled = false;
  return vi.waitFor(
    async () => {
      const job = await ask("GET", `/api/jobs/${jobId}`);
      if (job.status !== "running") return job;
      if (!isKilled && job.done > 0) {
        isKilled = true;
        process.kill(server.workerdPid(), "SIGKILL");
      }
      throw new Error(`it is under way: ${JSON.stringify(job)}`);
    },
    { timeout: 90_000, interval: 100 },
  );
}

test("an archive and a restore that are killed in the middle end well, and leave nothing else (Z11, Z12, Z19)", async () => {
  const value = "x".repeat(900);
  for (let from = 0; from < ENTRIES; from += 1000) {
    const lines = Array.from({ length: 1000 }, (_, i) => {
      const noise = Array.from({ length: 20 }, (_word, k) => ((from + i) * 7919 * (k + 1)) % 1_000_003).join("");
      return JSON.stringify({
        key: [
          { type: "string", value: "k" },
          { type: "number", value: from + i },
        ],
        value: { type: "string", value: value + noise },
      });
    });
    await ask("POST", "import", lines.join("\n"));
  }
  const created = await ask("POST", "backups", '{"type":"full"}');
  const made = await endedUnderKills(created.jobId);
  expect(made).toMatchObject({ status: "completed", error: null });
  const archive = await ask("GET", `backups/${created.id}`);
  const file = await fetch(`${base}/backups/${created.id}:download`, { headers: { authorization } });
  const keys = JSON.parse(readFileSync(join(server.folder, "data/secrets.json"), "utf8")).CAIRN_ENCRYPTION_KEYS;
  const verified = await verifyArchive([new Uint8Array(await file.arrayBuffer())], { keys });
  expect(verified).toMatchObject({ entries: ENTRIES, size: archive.size });
  const folder = join(server.folder, "data/archives");
  const files = () => readdirSync(folder, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
  expect(files()).toHaveLength(1);

  await ask("PUT", "entries/k", '{"type":"string","value":"later"}');
  const restoring = await ask("POST", `backups/${created.id}:restore`, '{"confirm":true,"safetyArchive":false}');
  expect(await endedUnderKills(restoring.id)).toMatchObject({ status: "completed", error: null });
  expect((await ask("GET", "count")).count).toBe(ENTRIES);
  expect(files()).toHaveLength(1);
}, 240_000);
