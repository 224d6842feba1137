/** Many sockets that do nothing, and many clients that connect again at once. */
import { once } from "node:events";
import { readdirSync, readlinkSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { encodeWatch } from "../../../src/codec/datapath-requests.ts";
import { encodeClientFrame } from "../../../src/codec/socket-client.ts";
import type { CrowdOrders } from "../clients/crowd.ts";
import { within } from "../deadline.ts";
import { raiseDescriptorLimit } from "../descriptors.ts";
import { Connections } from "../load.ts";
import { residentBytes } from "../memory.ts";
import { entryKey } from "../operations.ts";
import type { BenchOptions } from "../options.ts";
import type { Report } from "../report.ts";
import { exchange, newDatabase, type Cairn, type KvConnectServer, type Management } from "../servers.ts";
import { inTurns, openSocket } from "../socket-load.ts";
import { median } from "../statistics.ts";
import { progress, type Cell } from "../table.ts";
import { fillingCalls, workloads } from "../workloads.ts";

const IDLE_SOCKETS = 10_000;
const DATABASES = 10;
/** Of workerd for each socket, and what it and this process have open beside. */
const DESCRIPTORS_PER_SOCKET = 2;
const OTHER_DESCRIPTORS = 1000;
/** An object sleeps after ten seconds without an event. */
const ASLEEP_WITHIN_MS = 40_000;
/** How long they are looked at then, as a part of a stretch of load: five seconds by default. */
const SECONDS_OF_IDLE = 10;
const TOLD_WITHIN_MS = 20_000;
const MOST_GROWTH = 1.05;

/** On workerd's own port. Linux only: what a process has open and takes is read below /proc. */
export async function measureIdle(options: BenchOptions, cairn: Cairn): Promise<Report> {
  const wanted = Math.min(IDLE_SOCKETS, options.maxEntries / 100);
  const fitting = Math.floor((raiseDescriptorLimit() - OTHER_DESCRIPTORS) / DESCRIPTORS_PER_SOCKET);
  const count = Math.max(1, Math.min(wanted, fitting));
  const places = await inTurns(DATABASES, () => placeOf(cairn));
  const megabytes = (): number => residentBytes(cairn.pid) / 1e6;
  const before = megabytes();
  progress(`socket: opening ${count} idle sockets`);
  const watch = encodeClientFrame([{ type: "watch", id: 1, body: encodeWatch([entryKey(0)]) }]);
  const taken = encodeClientFrame([{ type: "ack", id: 0, watch: 1 }]);
  let told = 0;
  let onTold = (): void => undefined;
  const sockets = await inTurns(count, async (index) => {
    const place = places[index % DATABASES];
    if (place === undefined) throw new Error("expected a database for every socket");
    const socket = await openSocket(place);
    socket.onMessage = () => {
      told += 1;
      socket.send(taken);
      onTold();
    };
    socket.send(watch);
    return socket;
  });
  try {
    progress("socket: waiting for the objects to sleep");
    const awake = await asleep(cairn.pid);
    const opened = megabytes();
    const idleSeconds = SECONDS_OF_IDLE * options.seconds;
    await new Promise((resolve) => setTimeout(resolve, 1000 * idleSeconds));
    const idle = megabytes();
    // A commit wakes a database, and each of its watchers is told.
    const [first] = places;
    if (first === undefined) throw new Error("expected a database");
    const expected = told + Math.ceil(count / DATABASES);
    const all = new Promise<void>((resolve) => (onTold = () => told === expected && resolve()));
    const connections = await Connections.open(first.address, 1);
    await connections.sendAll(Array.from(fillingCalls(1), first.request));
    connections.close();
    await within(all, TOLD_WITHIN_MS, "Not every watcher was told of a commit after the sleep.");
    const each = ((opened - before) * 1e6) / count / 1024;
    const rows = [[count, awake, before.toFixed(0), opened.toFixed(0), idle.toFixed(0), each.toFixed(1)]];
    const columns = [
      "sockets",
      "awake databases",
      "MB before",
      "MB with them",
      `MB ${idleSeconds} s later`,
      "KiB each",
    ];
    const scaled = count < wanted ? `, as many as ${fitting * DESCRIPTORS_PER_SOCKET} open files allow` : "";
    const title = `Idle sockets with a watch each, in ${DATABASES} databases${scaled}`;
    const targets = [
      {
        what: `${count} idle sockets, databases of ${DATABASES} that sleep`,
        atLeast: DATABASES,
        measured: DATABASES - awake,
      },
      { what: `workerd's memory ${idleSeconds} s later, × before`, atMost: MOST_GROWTH, measured: idle / opened },
    ];
    return { tables: [{ title, columns, rows }], targets };
  } finally {
    for (const socket of sockets) socket.vanish();
  }
}

async function placeOf(server: Management): Promise<KvConnectServer> {
  return exchange(`${server.url}/databases/${await newDatabase(server)}/connect`, server.adminToken);
}

/** Waits until no database is open any more, which is when their objects sleep. How many are after all. */
async function asleep(pid: number): Promise<number> {
  const deadline = performance.now() + ASLEEP_WITHIN_MS;
  for (;;) {
    const open = openDatabases(pid);
    if (open === 0 || performance.now() > deadline) return open;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

function openDatabases(pid: number): number {
  const files = new Set<string>();
  for (const descriptor of readdirSync(`/proc/${pid}/fd`)) {
    const file = linkOf(`/proc/${pid}/fd/${descriptor}`);
    if (/DatabaseObject\/[0-9a-f]+\.sqlite$/.test(file)) files.add(file);
  }
  return files.size;
}

/** Empty for one that was closed in this moment. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

const CROWD = 1000;
const OTHERS = 32;
const BURSTS = 3;
const ENTRIES = 1000;
const MOST_SLOWER = 4;
const BURST_DEADLINE_MS = 60_000;

/** Others work over HTTP/1.1 in another database, through the same front. */
export async function measureBursts(options: BenchOptions, start: Management): Promise<Report> {
  raiseDescriptorLimit();
  const crowded = await placeOf(start);
  const others = await placeOf(start);
  const count = Math.min(CROWD, options.maxEntries / 100);
  const connections = await Connections.open(others.address, OTHERS);
  await connections.sendAll(Array.from(fillingCalls(ENTRIES), others.request));
  const requests = (workloads(ENTRIES).find(({ name }) => name === "get")?.calls ?? []).map(others.request);
  // In a thread of its own, so that what it costs the clients of the crowd delays nobody's clock.
  const orders: CrowdOrders = {
    place: { address: crowded.address, databaseId: crowded.databaseId, token: crowded.token },
    count,
  };
  const crowd = new Worker(new URL("../clients/crowd.ts", import.meta.url), { workerData: orders });
  const connectAll = async (): Promise<void> => {
    crowd.postMessage("connect again", []);
    const sentence = `${count} sockets were not open again in time.`;
    await within(Promise.race([once(crowd, "message"), failureOf(crowd)]), BURST_DEADLINE_MS, sentence);
  };
  try {
    progress(`socket: ${count} sockets that will connect again`);
    await connectAll();
    await connections.load(requests, 2 * options.seconds);
    const rounds: { readonly before: number; readonly during: number; readonly took: number }[] = [];
    for (let burst = 0; burst < BURSTS; burst++) {
      progress(`socket: burst ${burst + 1}`);
      const before = await connections.load(requests, 2 * options.seconds);
      let isOver = false;
      const from = performance.now();
      const all = connectAll().finally(() => (isOver = true));
      const [during] = await Promise.all([connections.loadUntil(requests, () => isOver), all]);
      rounds.push({ before: before.p99Ms, during: during.p99Ms, took: performance.now() - from });
    }
    const of = (part: keyof (typeof rounds)[number]): number => median(rounds.map((round) => round[part]));
    const ratio = median(rounds.map(({ before, during }) => during / before));
    const rows: Cell[][] = [
      [count, of("took").toFixed(0), of("before").toFixed(2), of("during").toFixed(2), ratio.toFixed(2)],
    ];
    const columns = ["sockets", "took ms", "others' p99 ms before", "during", "ratio"];
    const title = `Clients that connect again at once; ${OTHERS} others get from another database, through npm start`;
    const what = `others' p99 while ${count} sockets connect again, × before`;
    return { tables: [{ title, columns, rows }], targets: [{ what, atMost: MOST_SLOWER, measured: ratio }] };
  } finally {
    connections.close();
    await crowd.terminate();
  }
}

/** Rejects when the thread fails. */
async function failureOf(worker: Worker): Promise<never> {
  const [error] = await once(worker, "error");
  throw error;
}
