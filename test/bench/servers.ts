/**
 * The servers that are measured, each in processes of its own that end with this one: the built Worker on bare workerd, the
 * baselines on another workerd, the front of `npm start`, and whatever other server a peer names.
 */
import { isFailure } from "../../src/core/errors.ts";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { bundleWorker } from "../../src/local/bundle.ts";
import { spawnGuarded } from "../../src/local/guarded-process.ts";
import { deploymentSecrets } from "../../src/local/secrets.ts";
import { TenantKeeper } from "../../src/local/tenant.ts";
import {
  cairnDeployment,
  compatibilityDateOf,
  workerdConfig,
  type Deployment,
} from "../../src/local/workerd-config.ts";
import { startWorkerd } from "../../src/local/workerd-process.ts";
import { Connections, postRequest, type Address } from "./load.ts";
import type { Call } from "./workloads.ts";
import type { DocumentTask, DocumentTaskResult } from "./worker/document-tasks.ts";
import type { ArchiveTask } from "./worker/archive-task.ts";
import type { EngineTask, EngineTaskResult } from "./worker/engine-tasks.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const STOP_GRACE_MS = 2000;
const JSON_HEADERS = { "content-type": "application/json" };

export interface RunningServer {
  readonly address: Address;
  stop(): Promise<void>;
}

/** Who makes databases, and where. */
export interface Management {
  readonly url: string;
  readonly organizationId: string;
  readonly adminToken: string;
}

/** A database behind KV Connect, exchanged with: turns calls into requests. */
export interface KvConnectServer {
  readonly address: Address;
  readonly databaseId: string;
  /** The data token. */
  readonly token: string;
  /** Of every request of the data path. */
  readonly headers: Readonly<Record<string, string>>;
  readonly request: (call: Call) => Buffer;
}

const built = new Map<string, Promise<string>>();

/** `entry`: the Worker's source, from the project's root. `folder`: for its data. */
async function serve(
  entry: string,
  deployment: Deployment,
  environment: Readonly<NodeJS.ProcessEnv>,
  folder: string,
): Promise<RunningServer & { readonly pid: number }> {
  mkdirSync(folder, { recursive: true });
  const building = built.get(entry) ?? bundle(entry);
  built.set(entry, building);
  const config = workerdConfig(deployment, compatibilityDateOf(readFileSync(join(root, "wrangler.toml"), "utf8")), {
    reach: "any",
    trustsMore: false,
    hasProxy: false,
  });
  const workerd = await startWorkerd(
    folder,
    { worker: await building, config, trusted: null, proxy: null },
    { ...process.env, ...environment },
    { overTcp: true },
  );
  if (isFailure(workerd)) throw new Error(workerd.message);
  const { address, pid } = workerd;
  if ("path" in address) throw new Error("expected workerd to listen on a TCP port");
  return { address, pid, stop: () => workerd.stop(STOP_GRACE_MS) };
}

async function bundle(entry: string): Promise<string> {
  const worker = await bundleWorker(join(root, entry));
  if (typeof worker !== "string") throw new Error(worker.message);
  return worker;
}

export interface Cairn extends RunningServer, KvConnectServer, Management {
  readonly deploymentToken: string;
  /** Of its workerd. */
  readonly pid: number;
}

/** The deployment's Worker with a new database. */
export async function serveCairn(folder: string): Promise<Cairn> {
  mkdirSync(folder, { recursive: true });
  const secrets = deploymentSecrets(folder, {}, ["127.0.0.1"]);
  if (isFailure(secrets)) throw new Error(secrets.message);
  const server = await serve("src/worker.ts", cairnDeployment, secrets, folder);
  const url = `http://127.0.0.1:${server.address.port}`;
  const keeper = new TenantKeeper("tenant.json", undefined, (sentence) => process.stderr.write(`${sentence}\n`));
  const flaw = await keeper.settle(() => server.address, folder, secrets);
  if (flaw !== undefined) throw new Error(flaw.message);
  const { databaseId, accessToken, organizationId, adminToken } = keeper.tenant;
  const connectUrl = `${url}/databases/${databaseId}/connect`;
  const deploymentToken = secrets.CAIRN_DEPLOYMENT_TOKEN;
  const opened = await exchange(connectUrl, accessToken);
  return { ...server, url, deploymentToken, organizationId, adminToken, ...opened };
}

/** The id of one more database. */
export async function newDatabase({ url, organizationId, adminToken }: Management): Promise<string> {
  const answer = await fetch(`${url}/api/organizations/${organizationId}/databases`, {
    method: "POST",
    headers: { authorization: `Bearer ${adminToken}`, ...JSON_HEADERS },
    body: '{"name":"bench"}',
  });
  if (answer.status !== 201) throw new Error(`a new database was answered ${answer.status}: ${await answer.text()}`);
  // The API's own shape; another would fail at the first use.
  return ((await answer.json()) as { readonly id: string }).id;
}

/** What `serveCairn` has left in a folder, served once more. */
export async function serveCairnAgain(folder: string): Promise<RunningServer> {
  const secrets = deploymentSecrets(folder, {}, ["127.0.0.1"]);
  if (isFailure(secrets)) throw new Error(secrets.message);
  return serve("src/worker.ts", cairnDeployment, secrets, folder);
}

/** A Worker that does nothing. */
export function serveEmpty(folder: string): Promise<RunningServer> {
  return serve("test/bench/worker/empty-worker.ts", { variables: [], namespaces: [] }, {}, folder);
}

export interface Bench extends RunningServer {
  /** Of its workerd. */
  readonly pid: number;
  run(task: EngineTask): Promise<EngineTaskResult>;
  /** `beside`: over a connection of its own, while another task is under way. */
  archives(task: ArchiveTask, beside?: boolean): Promise<EngineTaskResult>;
  documents(task: DocumentTask): Promise<DocumentTaskResult>;
}

/** The baselines, and objects to measure the engine in. */
export async function serveBench(folder: string): Promise<Bench> {
  const deployment: Deployment = { variables: [], namespaces: [{ binding: "BENCH", className: "BenchObject" }] };
  const server = await serve("test/bench/worker/bench-worker.ts", deployment, {}, folder);
  const connections = await Connections.open(server.address, 1);
  const others = await Connections.open(server.address, 1);
  const send = async (
    path: string,
    task: EngineTask | DocumentTask | ArchiveTask,
    over: Connections = connections,
  ): Promise<unknown> => {
    const url = new URL(path, `http://127.0.0.1:${server.address.port}`);
    const request = postRequest(url, JSON_HEADERS, new TextEncoder().encode(JSON.stringify(task)));
    const { status, body } = await over.exchange(request);
    if (status !== 200) throw new Error(`${task.task} was answered ${status}: ${body.toString()}`);
    return JSON.parse(body.toString());
  };
  return {
    address: server.address,
    pid: server.pid,
    // Our own Worker writes these answers.
    run: async (task) => (await send("/engine", task)) as EngineTaskResult,
    archives: async (task, beside = false) =>
      (await send("/archives", task, beside ? others : connections)) as EngineTaskResult,
    documents: async (task) => (await send("/documents", task)) as DocumentTaskResult,
    async stop() {
      connections.close();
      others.close();
      await server.stop();
    },
  };
}

/** `folder`: that of the server behind, with its secrets. */
export async function serveFront(upstream: Address, folder: string): Promise<RunningServer> {
  const script = fileURLToPath(new URL("front-process.ts", import.meta.url));
  const front = await spawnGuarded(process.execPath, [script, String(upstream.port), folder], process.env);
  front.stderr.pipe(process.stderr);
  for await (const line of createInterface({ input: front.stdout })) {
    return { address: { host: "127.0.0.1", port: Number(line) }, stop: () => front.stop(STOP_GRACE_MS) };
  }
  throw new Error(`the front did not start: ${await front.exited}`);
}

interface Metadata {
  readonly databaseId: string;
  readonly endpoints: readonly { readonly url: string; readonly consistency: string }[];
  readonly token: string;
}

/** The metadata exchange, after which the data path of a KV Connect server is known. */
export async function exchange(connectUrl: string, accessToken: string): Promise<KvConnectServer> {
  const response = await fetch(connectUrl, {
    method: "POST",
    headers: { ...JSON_HEADERS, authorization: `Bearer ${accessToken}` },
    body: JSON.stringify({ supportedVersions: [1, 2, 3] }),
  });
  if (response.status !== 200) throw new Error(`${connectUrl} answered ${response.status}: ${await response.text()}`);
  // The protocol's shape; a server that speaks another fails at the first use.
  const { databaseId, endpoints, token } = (await response.json()) as Metadata;
  const strong = endpoints.find(({ consistency }) => consistency === "strong");
  if (strong === undefined) throw new Error(`${connectUrl} names no strongly consistent endpoint`);
  const endpoint = new URL(strong.url, connectUrl).href.replace(/\/$/, "");
  const { hostname, port } = new URL(endpoint);
  const headers = {
    authorization: `Bearer ${token}`,
    "content-type": "application/x-protobuf",
    "x-denokv-database-id": databaseId,
    "x-denokv-version": "3",
  };
  return {
    address: { host: hostname, port: Number(port || "80") },
    databaseId,
    token,
    headers,
    request: ({ method, body }) => postRequest(new URL(`${endpoint}/${method}`), headers, body),
  };
}
