/** Real objects of databases that back themselves up to the bound bucket, and what their jobs come to. */
import { env } from "cloudflare:workers";
import type { BackupJob, RestoreCommand } from "../../../src/contracts/restore-commands.ts";
import type { Mutation } from "../../../src/core/operations.ts";
import { asVersion, type Version, versionOfBytes } from "../../../src/core/versionstamp.ts";
import type { Env } from "../../../src/objects/env.ts";
import { commit, type Stub } from "./database-object.ts";
import { key, set, text, write } from "./engine.ts";

// The plugin's environment is the deployment's.
const { DATABASES } = env as unknown as Env;

interface TestDatabase {
  readonly id: string;
  readonly stub: Stub;
}

export async function newDatabase(): Promise<TestDatabase> {
  const id = crypto.randomUUID();
  const stub = DATABASES.getByName(id);
  await stub.initialize({ organizationId: "nobody", databaseId: id, jurisdiction: null });
  return { id, stub };
}

export async function withBackup(): Promise<TestDatabase> {
  const database = await newDatabase();
  const { id, stub } = database;
  for (let i = 0; i < 30; i++) await put(stub, set(key("before", i), text(`${i}`)));
  const answer = await stub.backup({
    command: "enable",
    id: crypto.randomUUID(),
    databaseId: id,
    destination: { kind: "r2", prefix: "" },
    intervalMs: 500,
    retentionDays: 7,
  });
  if (!answer.ok) throw new Error(answer.message);
  await until(async () => {
    const status = await stub.backup({ command: "status" });
    return status.ok && status.backup?.status.code === "active";
  });
  return database;
}

export async function put(stub: Stub, ...mutations: Mutation[]): Promise<Version> {
  const answer = await commit(stub, write(mutations));
  return versionOfBytes(answer.versionstamp) ?? asVersion(0);
}

export async function until(holds: () => Promise<boolean>, withinMs = 60_000): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error("it did not come about in time");
    await scheduler.wait(50);
  }
}

/** Asks until the backup has got so far. */
export async function ask(stub: Stub, command: RestoreCommand) {
  for (let i = 0; ; i++) {
    const answer = await stub.restore(command);
    if (answer.ok || answer.code !== "unavailable" || i > 100) return answer;
    await scheduler.wait(50);
  }
}

export async function job(stub: Stub, command: RestoreCommand): Promise<BackupJob> {
  const answer = await ask(stub, command);
  if (!answer.ok || answer.kind !== "job") throw new Error(JSON.stringify(answer));
  return answer.job;
}

export async function finished(stub: Stub, jobId: string): Promise<BackupJob> {
  let last: BackupJob | null = null;
  await until(async () => {
    last = await job(stub, { command: "job", jobId });
    return last.status !== "running";
  });
  if (last === null) throw new Error("no job");
  return last;
}
