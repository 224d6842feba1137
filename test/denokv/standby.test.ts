/** `denokv serve --sync-from-s3`, unmodified, follows our bucket while we write: a standby that Deno's clients read from. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openKv } from "@deno/kv";
import { afterAll, beforeAll, expect, test } from "vitest";
import { BackupServer, type ServedDatabase } from "../support/backup-server.ts";
import { set, v8 } from "../support/backup-workload.ts";
import { type S3Server, startS3Server } from "../support/s3-server.ts";
import { denokvProgram, eventually, freePort, s3Arguments, s3Environment } from "./denokv.ts";

const token = "standby-token-for-tests";
const folder = mkdtempSync(join(tmpdir(), "cairn-standby-"));
let s3: S3Server;
let server: BackupServer;
let database: ServedDatabase;
let standby: ChildProcess | undefined;

const write = (name: string, plain: unknown) => ({ checks: [], mutations: [set([name], v8(plain))], enqueues: [] });

beforeAll(async () => {
  s3 = await startS3Server();
  server = await BackupServer.start();
  database = server.database();
});

afterAll(async () => {
  standby?.kill("SIGKILL");
  await server.close();
  await s3.close();
  rmSync(folder, { recursive: true, force: true });
});

test("a standby serves the state and follows it (B21)", { timeout: 120_000 }, async () => {
  await database.commit(write("before", 1));
  await database.enable(s3);
  const active = await database.until("active", ({ status }) => status.code === "active");
  const port = await freePort();
  standby = spawn(
    denokvProgram,
    [
      [
        "--sqlite-path",
        join(folder, "standby.sqlite"),
        "serve",
        "--access-token",
        token,
        "--addr",
        `127.0.0.1:${port}`,
      ],
      ["--sync-from-s3", ...s3Arguments(s3, active.generations[0]?.prefix ?? "")],
    ].flat(),
    { env: s3Environment(s3), stdio: "ignore" },
  );
  process.env["DENO_KV_ACCESS_TOKEN"] = token;
  for (const round of [1, 2, 3]) {
    await database.commit(write("followed", round));
    const value = await eventually(async () => {
      const kv = await openKv(`http://127.0.0.1:${port}`);
      const got = await kv.getMany<[number, number]>([["before"], ["followed"]]);
      kv.close();
      return got[1].value === round ? got.map((entry) => entry.value) : undefined;
    });
    expect(value).toEqual([1, round]);
  }
});
