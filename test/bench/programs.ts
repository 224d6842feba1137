/** What people run: `npm start`, `denokv serve`, and Deno's own client under load. Each is a process that ends with this one. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Announcement } from "../../src/local/announcement.ts";
import { type GuardedProcess, spawnGuarded } from "../../src/local/guarded-process.ts";
import { denokvProgram, freePort } from "../denokv/denokv.ts";
import { startDenoProcess } from "../support/deno-process.ts";
import type { DenoOrder, DenoWorkload } from "./clients/deno-workloads.ts";
import { within } from "./deadline.ts";
import type { LoadResult } from "./load.ts";
import type { RunningServer } from "./servers.ts";

const start = fileURLToPath(new URL("../../src/local/start.ts", import.meta.url));
const denoLoad = fileURLToPath(new URL("clients/deno-load.ts", import.meta.url));

const STOP_GRACE_MS = 5000;
const START_DEADLINE_MS = 60_000;
/** Beyond the length of the load itself. */
const ANSWER_DEADLINE_MS = 30_000;

/** What a KV Connect client opens. */
export interface Opening {
  readonly connectUrl: string;
  readonly accessToken: string;
}

export type StartedProgram = RunningServer & Opening;

/** `npm start` on a folder of its own. `environment`: beside that of this process. */
export async function serveStart(
  folder: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<StartedProgram & Announcement> {
  const args = [start, "--json", "--port", "0", "--persist-to", folder];
  const server = await spawnGuarded(process.execPath, args, { ...process.env, ...environment });
  server.stderr.pipe(process.stderr);
  const line = await Promise.race([
    within(once(createInterface({ input: server.stdout }), "line"), START_DEADLINE_MS, "npm start does not start."),
    server.exited,
  ]);
  if (typeof line === "string") throw new Error(`npm start ended: ${line}`);
  // The line is what `npm start -- --json` promises.
  const announced = JSON.parse(String(line[0])) as Announcement;
  return { ...announced, ...running(server, announced.connectUrl) };
}

/** An access token as long as Cairn's data tokens: denokv sends its access token with every request. */
const ACCESS_TOKEN_BYTES = 30;

/** `denokv serve` on a file of its own. Whether it is there says `denokvMissing`. */
export async function serveDenokv(folder: string): Promise<StartedProgram> {
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const accessToken = randomBytes(ACCESS_TOKEN_BYTES).toString("base64url");
  const connectUrl = `http://127.0.0.1:${port}/`;
  const args = ["--sqlite-path", join(folder, "denokv.sqlite"), "serve", "--addr", `127.0.0.1:${port}`];
  const server = await spawnGuarded(denokvProgram, [...args, "--access-token", accessToken], process.env);
  server.stdout.resume();
  server.stderr.resume();
  const answers = async (): Promise<void> => {
    for (;;) {
      const isThere = await fetch(connectUrl).then(
        () => true,
        () => false,
      );
      if (isThere) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const ended = await Promise.race([
    within(answers(), START_DEADLINE_MS, "denokv serve does not start."),
    server.exited,
  ]);
  if (typeof ended === "string") throw new Error(`denokv serve ended: ${ended}`);
  return { connectUrl, accessToken, ...running(server, connectUrl) };
}

function running(server: GuardedProcess, connectUrl: string): RunningServer {
  const { hostname, port } = new URL(connectUrl);
  return { address: { host: hostname, port: Number(port) }, stop: () => server.stop(STOP_GRACE_MS) };
}

export interface DenoLoad {
  fill(): Promise<void>;
  load(workload: DenoWorkload, inFlight: number, seconds: number): Promise<LoadResult>;
  close(): Promise<void>;
}

/** Deno's own client, in a process of its own. */
export function startDenoLoad(opening: Opening): DenoLoad {
  const deno = startDenoProcess(denoLoad, opening);
  const order = (wanted: DenoOrder, seconds: number): Promise<unknown> =>
    within(deno.order(wanted), seconds * 1000 + ANSWER_DEADLINE_MS, `Deno does not end: ${JSON.stringify(wanted)}.`);
  return {
    async fill() {
      await order({ do: "fill" }, 0);
    },
    async load(workload, inFlight, seconds) {
      // What our own script answers.
      return (await order({ do: "load", workload, inFlight, seconds }, seconds)) as LoadResult;
    },
    close: () => deno.close(),
  };
}
