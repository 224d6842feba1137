/**
 * The change feed and Server-Sent Events: what readers of the feed cost a commit, in rows and in the processor's time, and how watches over
 * HTTP compare with those of sockets, in latency and in memory.
 */
import { join } from "node:path";
import { decodeFeedPage, encodeFeedRequest } from "../../../src/codec/feed.ts";
import { encodeWatch } from "../../../src/codec/datapath-requests.ts";
import { decodeServerFrame, encodeClientFrame } from "../../../src/codec/socket-client.ts";
import { SocketField } from "../../../src/codec/socket.ts";
import type { RawWebSocket } from "../../support/raw-websocket.ts";
import { within } from "../deadline.ts";
import { EventConnection } from "../event-load.ts";
import { processorMs, residentBytes } from "../memory.ts";
import { entryKey } from "../operations.ts";
import type { BenchOptions } from "../options.ts";
import { serveStart } from "../programs.ts";
import type { Report } from "../report.ts";
import { measureRounds, type Series } from "../rounds.ts";
import { type Cairn, exchange, type Management, newDatabase, serveBench, serveCairn } from "../servers.ts";
import { inTurns, openSocket, SocketLoad, type SocketPlace } from "../socket-load.ts";
import { progress, type Cell } from "../table.ts";
import { workloads } from "../workloads.ts";
import { FEED_READERS, type OperationRows } from "../worker/engine-tasks.ts";
import {
  COMMITS_PER_SECOND,
  LATENCY_ROUNDS,
  type Latencies,
  LatencyMeasurement,
  latencyOf,
  SECONDS_OF_ROUND,
} from "./socket-watches.ts";

const IN_FLIGHT = 64;
const READERS_BEHIND_MS = 20_000;
const WATCHES = 1000;
const WARM_UP_WATCHES = 100;
/** Rows are exact: ten readers read none more than one. */
const MOST_ROWS = 1;
const MOST_MEMORY = 1.5;
const MOST_LATENCY = 2;
/** What is too small for a moment's measurement. */
const LEAST_SHOWN = 0.01;

export async function measureFeed(options: BenchOptions, folder: string): Promise<Report> {
  // A process of its own for whatever is measured by a process's memory and time.
  const [cairn, start, ...ofKinds] = await Promise.all([
    serveCairn(join(folder, "feed")),
    serveStart(join(folder, "feed-start")),
    ...KINDS.map((_, index) => serveCairn(join(folder, `feed-watches-${index}`))),
  ]);
  try {
    const reports = [
      await measureReaders(options, cairn, await rowsOfReaders(join(folder, "feed-rows"))),
      await measureCosts(options, ofKinds),
      await measureLatency(options, start),
    ];
    return {
      tables: reports.flatMap(({ tables }) => tables),
      targets: reports.flatMap(({ targets }) => targets),
    };
  } finally {
    await Promise.all([cairn, start, ...ofKinds].map((server) => server.stop()));
  }
}

async function rowsOfReaders(folder: string): Promise<readonly OperationRows[]> {
  const bench = await serveBench(folder);
  try {
    const { rows = [] } = await bench.run({ object: "feed rows", task: "feed rows" });
    return rows;
  } finally {
    await bench.stop();
  }
}

/** The same sets in databases with more or fewer readers, which all keep up. */
async function measureReaders(options: BenchOptions, cairn: Cairn, rows: readonly OperationRows[]): Promise<Report> {
  progress("feed: readers");
  const calls = workloads(1000).find(({ name }) => name === "set")?.calls ?? [];
  const closing: (() => void)[] = [];
  try {
    const series: (Series & { readonly count: number; readonly cost: Cost })[] = [];
    for (const count of FEED_READERS) {
      const place = await placeWithFeed(cairn);
      const load = await SocketLoad.open(place);
      const readers = await inTurns(count, () => Reader.open(place));
      closing.push(() => load.close(), ...readers.map((reader) => () => reader.close()));
      const cost = { commits: 0, ms: 0 };
      series.push({
        name: `${count}`,
        count,
        cost,
        async load(seconds) {
          const [told, before] = [readers.map(({ commits }) => commits), processorMs(cairn.pid)];
          const result = await load.load(calls, IN_FLIGHT, seconds);
          const made = Math.round(result.perSecond * seconds);
          const all = readers.map((reader, index) => reader.until((told[index] ?? 0) + made * LEAST_TOLD));
          await within(Promise.all(all), READERS_BEHIND_MS, "A reader of the feed does not keep up.");
          cost.commits += made;
          cost.ms += processorMs(cairn.pid) - before;
          return result;
        },
      });
    }
    const results = await measureRounds(series, options);
    const shown = series.map(({ name, count, cost }, index): Cell[] => {
      const { read = 0, written = 0 } = rows[index] ?? {};
      const perCommit = ((cost.ms * 1000) / cost.commits).toFixed(0);
      return [count, Math.round(results.get(name)?.perSecond ?? 0), perCommit, read, written];
    });
    const [, one, ten] = rows;
    const [rowsOfOne, rowsOfTen] = [one, ten].map((each) => (each?.read ?? 0) + (each?.written ?? 0));
    const title = `Readers of the change feed that keep up, ${IN_FLIGHT} sets in flight`;
    const columns = [
      "readers",
      "sets per second",
      "µs of workerd per set",
      "rows read per set",
      "rows written per set",
    ];
    const what = "rows of a set with ten readers of the feed, × with one";
    const measured = (rowsOfTen ?? Number.NaN) / (rowsOfOne ?? Number.NaN);
    return { tables: [{ title, columns, rows: shown }], targets: [{ what, atMost: MOST_ROWS, measured }] };
  } finally {
    for (const close of closing) close();
  }
}

/** What workerd took for so many commits. */
interface Cost {
  commits: number;
  ms: number;
}

/** The number of commits is counted by the answers in the time of a round: a few come behind its end. */
const LEAST_TOLD = 0.9;

async function placeOf(server: Management): Promise<SocketPlace> {
  return exchange(`${server.url}/databases/${await newDatabase(server)}/connect`, server.adminToken);
}

async function placeWithFeed(server: Management): Promise<SocketPlace> {
  const place = await placeOf(server);
  const answer = await fetch(`${server.url}/api/databases/${place.databaseId}`, {
    method: "PATCH",
    headers: { authorization: `Bearer ${server.adminToken}` },
    body: '{"feed":{"retentionHours":1}}',
  });
  if (!answer.ok) throw new Error(`the feed was answered ${answer.status}: ${await answer.text()}`);
  return place;
}

/** Reads the feed on a socket, and takes each message at once. */
class Reader {
  commits = 0;
  readonly #socket: RawWebSocket;
  #wanted = 0;
  #reached: () => void = () => undefined;

  private constructor(socket: RawWebSocket) {
    this.#socket = socket;
    const taken = encodeClientFrame([{ type: "ack", id: 0, watch: 1 }]);
    socket.onMessage = (data) => {
      const frame = decodeServerFrame(data);
      if (!frame.ok) throw new Error(frame.message);
      for (const { field, body } of frame.responses) {
        if (field !== SocketField.feed) throw new Error("expected the feed to go on");
        const page = decodeFeedPage(body);
        if (!page.ok) throw new Error(page.message);
        this.commits += page.commits.length;
      }
      socket.send(taken);
      if (this.commits >= this.#wanted) this.#reached();
    };
  }

  static async open(place: SocketPlace): Promise<Reader> {
    const socket = await openSocket(place);
    const reader = new Reader(socket);
    const body = encodeFeedRequest({ prefix: new Uint8Array(), from: "now" });
    socket.send(encodeClientFrame([{ type: "feed", id: 1, body }]));
    return reader;
  }

  /** Resolves when it has been told so many. */
  until(commits: number): Promise<void> {
    this.#wanted = commits;
    return new Promise((resolve) => {
      this.#reached = resolve;
      if (this.commits >= commits) resolve();
    });
  }

  close(): void {
    this.#socket.vanish();
  }
}

type Kind = "sockets" | "Server-Sent Events";
const KINDS: readonly Kind[] = ["sockets", "Server-Sent Events"];

/** One watch of one key each, from this key on. `measurement` gets it before anything can come. */
async function openWatches(
  kind: Kind,
  place: SocketPlace,
  from: number,
  count: number,
  measurement: LatencyMeasurement,
): Promise<{ vanish(): void }[]> {
  progress(`feed: opening ${count} watches as ${kind}`);
  return inTurns(count, async (index) => {
    if (kind === "sockets") {
      const socket = await openSocket(place);
      measurement.watch(socket);
      socket.send(encodeClientFrame([{ type: "watch", id: 1, body: encodeWatch([entryKey(from + index)]) }]));
      return socket;
    }
    const key = encodeURIComponent(JSON.stringify(["bench", from + index]));
    const events = await EventConnection.open(place, `watch?key=${key}`);
    measurement.watchEvents(events);
    return events;
  });
}

/** On workerd's own port, in a process for each kind: what it has more in memory for each watch, and what a commit costs that one is told of. */
async function measureCosts(options: BenchOptions, servers: readonly Cairn[]): Promise<Report> {
  const count = Math.min(WATCHES, options.maxEntries / 100);
  const rows: Cell[][] = [];
  const sizes: number[] = [];
  for (const [index, kind] of KINDS.entries()) {
    const cairn = servers[index];
    if (cairn === undefined) throw new Error("expected a server for each kind");
    const place = await placeOf(cairn);
    const measurement = new LatencyMeasurement(await openSocket(place));
    const watches: { vanish(): void }[] = [];
    try {
      // The first watches take what a process takes once.
      watches.push(...(await openWatches(kind, place, 0, WARM_UP_WATCHES, measurement)));
      const before = residentBytes(cairn.pid);
      watches.push(...(await openWatches(kind, place, WARM_UP_WATCHES, count, measurement)));
      const kib = (residentBytes(cairn.pid) - before) / 1024 / count;
      const seconds = SECONDS_OF_ROUND * options.seconds;
      await measurement.round(WARM_UP_WATCHES, seconds / 2);
      const busyBefore = processorMs(cairn.pid);
      const { sent } = await measurement.round(WARM_UP_WATCHES, seconds);
      const perCommit = ((processorMs(cairn.pid) - busyBefore) * 1000) / sent.length;
      sizes.push(kib);
      rows.push([kind, count, kib.toFixed(1), perCommit.toFixed(0)]);
    } finally {
      measurement.close();
      for (const watch of watches) watch.vanish();
    }
  }
  const [ofSockets = Number.NaN, ofEvents = Number.NaN] = sizes;
  const title = "Watches on workerd's port, each on a connection of its own";
  const columns = ["as", "watches", "KiB each", "µs of workerd per commit that one is told of"];
  const what = "memory of a watch as Server-Sent Events, × on a socket";
  const measured = Math.max(LEAST_SHOWN, ofEvents / ofSockets);
  return { tables: [{ title, columns, rows }], targets: [{ what, atMost: MOST_MEMORY, measured }] };
}

/** Through `npm start`: a database for each kind, in rounds that take turns. */
async function measureLatency(options: BenchOptions, start: Management): Promise<Report> {
  const count = Math.min(WATCHES, options.maxEntries / 100);
  const closing: (() => void)[] = [];
  const results = new Map(KINDS.map((kind) => [kind, [] as Latencies[]]));
  try {
    const measured: (readonly [Kind, LatencyMeasurement])[] = [];
    for (const kind of KINDS) {
      const place = await placeOf(start);
      const measurement = new LatencyMeasurement(await openSocket(place));
      closing.push(() => measurement.close());
      const watches = await openWatches(kind, place, 0, count, measurement);
      closing.push(...watches.map((watch) => () => watch.vanish()));
      measured.push([kind, measurement]);
    }
    for (let round = 0; round < LATENCY_ROUNDS; round++) {
      for (const [kind, measurement] of round % 2 === 0 ? measured : measured.toReversed()) {
        progress(`feed: latency of ${kind}, round ${round + 1}`);
        results.get(kind)?.push(await measurement.round(count, (SECONDS_OF_ROUND * options.seconds) / 2));
      }
    }
  } finally {
    for (const close of closing) close();
  }
  const rows = Array.from(results, ([kind, rounds]): Cell[] => [
    kind,
    count,
    ...(["acknowledged", "sent"] as const).flatMap((from) =>
      [0.5, 0.99].map((part) => latencyOf(rounds, from, part).toFixed(2)),
    ),
  ]);
  const title = `From a commit to its watcher, ${COMMITS_PER_SECOND} commits per second, through npm start`;
  const columns = ["as", "watchers", "p50 ms", "p99 ms", "p50 ms from the request", "p99 ms from it"];
  const ofRequest = (kind: Kind): number => latencyOf(results.get(kind) ?? [], "sent", 0.5);
  const what = "p50 from a commit to its watcher as Server-Sent Events, × on a socket";
  const measured = Math.max(LEAST_SHOWN, ofRequest("Server-Sent Events") / ofRequest("sockets"));
  return { tables: [{ title, columns, rows }], targets: [{ what, atMost: MOST_LATENCY, measured }] };
}
