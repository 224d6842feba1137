/** Watches over sockets: how soon after a commit's acknowledgement a watcher is told, and what watchers cost a commit that concerns none of them. */
import { decodeWatchOutput } from "../../../src/codec/datapath-answers.ts";
import { encodeAtomicWrite, encodeWatch } from "../../../src/codec/datapath-requests.ts";
import {
  decodeServerFrame,
  encodeClientFrame,
  encodePrefixWatch,
  type SentRequest,
} from "../../../src/codec/socket-client.ts";
import { SocketField } from "../../../src/codec/socket.ts";
import { MAX_SOCKET_WATCHES } from "../../../src/core/limits.ts";
import type { RawWebSocket } from "../../support/raw-websocket.ts";
import { within } from "../deadline.ts";
import type { EventConnection } from "../event-load.ts";
import { hubCosts, type Watched } from "../hub-costs.ts";
import { entryKey, keyOf, setOf, valueOf, writeOf } from "../operations.ts";
import type { BenchOptions } from "../options.ts";
import type { Report } from "../report.ts";
import { measureRounds, ratioOf, type Series } from "../rounds.ts";
import { exchange, newDatabase, type Management } from "../servers.ts";
import { inTurns, openSocket, SocketLoad, type SocketPlace } from "../socket-load.ts";
import { median, quantile } from "../statistics.ts";
import { progress } from "../table.ts";
import { VALUE_BYTES, workloads } from "../workloads.ts";

const WATCHERS = 1000;
export const COMMITS_PER_SECOND = 500;
/** How often commits are sent: those that are due by then go in one frame. */
const TICK_MS = 4;
export const LATENCY_ROUNDS = 3;
/** A round of the default length: three seconds. */
export const SECONDS_OF_ROUND = 6;
const MOST_P99_MS = 20;
/** A watch that was told nothing by then has lost it. */
const LAST_MESSAGE_MS = 10_000;

export async function measureLatency(options: BenchOptions, start: Management): Promise<Report> {
  const place = await exchange(`${start.url}/databases/${await newDatabase(start)}/connect`, start.adminToken);
  const watchers = Math.min(WATCHERS, options.maxEntries / 100);
  progress(`socket: opening ${watchers} watches`);
  const measurement = new LatencyMeasurement(await openSocket(place));
  const sockets = await inTurns(watchers, async (index) => {
    const socket = await openSocket(place);
    measurement.watch(socket);
    socket.send(encodeClientFrame([{ type: "watch", id: 1, body: encodeWatch([entryKey(index)]) }]));
    return socket;
  });
  const results: Latencies[] = [];
  try {
    for (let round = 0; round < LATENCY_ROUNDS; round++) {
      progress(`socket: watch latency, round ${round + 1}`);
      results.push(await measurement.round(watchers, SECONDS_OF_ROUND * options.seconds));
    }
  } finally {
    for (const socket of sockets) socket.vanish();
    measurement.close();
  }
  const over = (from: keyof Latencies, part: number): number => latencyOf(results, from, part);
  const p99 = over("acknowledged", 0.99);
  const title = "From the acknowledgement of a commit to its watcher's message, through npm start";
  const columns = ["watchers", "commits per second", "p50 ms", "p99 ms", "p50 ms from the request", "p99 ms from it"];
  const latencies = [over("acknowledged", 0.5), p99, over("sent", 0.5), over("sent", 0.99)];
  const rows = [[watchers, COMMITS_PER_SECOND, ...latencies.map((ms) => ms.toFixed(2))]];
  const what = `watch latency, ${watchers} watchers, ${COMMITS_PER_SECOND} commits per second, p99 in ms`;
  // A message may come before the acknowledgement does: that is 0.
  return {
    tables: [{ title, columns, rows }],
    targets: [{ what, atMost: MOST_P99_MS, measured: Math.max(p99, 0.01) }],
  };
}

/** Milliseconds up to the message, ascending: from the commit's acknowledgement, which may come after it, and from its request. */
export interface Latencies {
  readonly acknowledged: readonly number[];
  readonly sent: readonly number[];
}

/** This part of the messages came as soon, in milliseconds: the median of the rounds. */
export function latencyOf(rounds: readonly Latencies[], from: keyof Latencies, part: number): number {
  return median(rounds.map((round) => quantile(round[from], part)));
}

/** Commits are numbered from 1, and each value carries its number. */
export class LatencyMeasurement {
  readonly #writer: RawWebSocket;
  readonly #sentAt = new Map<number, number>();
  readonly #acknowledgedAt = new Map<number, number>();
  readonly #toldAt = new Map<number, number>();
  #last = 0;
  #missing = 0;
  #done: () => void = () => undefined;
  #failed: (error: Error) => void = () => undefined;

  constructor(writer: RawWebSocket) {
    this.#writer = writer;
    writer.onMessage = (data) => {
      for (const { id, field } of responsesOf(data)) {
        if (field !== SocketField.write) this.#failed(new Error("expected every commit to be applied"));
        this.#acknowledgedAt.set(id, performance.now());
        this.#came();
      }
    };
    writer.onClose = (code, reason) => this.#failed(new Error(`the writer was closed with ${code}: ${reason}`));
  }

  watch(socket: RawWebSocket): void {
    const taken = encodeClientFrame([{ type: "ack", id: 0, watch: 1 }]);
    socket.onMessage = (data) => {
      const now = performance.now();
      for (const { field, body } of responsesOf(data)) {
        if (field === SocketField.watch) this.#told(body, now);
        else this.#failed(new Error("expected a watch to go on"));
      }
      socket.send(taken);
    };
    socket.onClose = (code, reason) => this.#failed(new Error(`a watcher was closed with ${code}: ${reason}`));
  }

  /** A watch of a key, as Server-Sent Events. */
  watchEvents(events: EventConnection): void {
    let text = "";
    events.onText = (more) => {
      const now = performance.now();
      text += more;
      for (const [, value = ""] of text.matchAll(/"Uint8Array","value":"([\w-]+)"/g)) {
        this.#toldNumber(Buffer.from(value, "base64url").readUInt32BE(0), now);
      }
      text = text.slice(text.lastIndexOf("\n\n") + 1);
    };
    events.onClose = (why) => this.#failed(new Error(`a watch ended: ${why}`));
  }

  close(): void {
    this.#writer.vanish();
  }

  async round(watchers: number, seconds: number): Promise<Latencies> {
    const commits = Math.max(1, Math.round(COMMITS_PER_SECOND * seconds));
    const first = this.#last + 1;
    this.#missing = 2 * commits;
    const all = new Promise<void>((resolve, reject) => {
      this.#done = resolve;
      this.#failed = reject;
    });
    const start = performance.now();
    const timer = setInterval(() => {
      const due = Math.min(commits, Math.ceil(((performance.now() - start) / 1000) * COMMITS_PER_SECOND));
      const requests: SentRequest[] = [];
      while (this.#last - first + 1 < due) {
        this.#last += 1;
        this.#sentAt.set(this.#last, performance.now());
        const set = setOf(entryKey(this.#last % watchers), valueOf(VALUE_BYTES, this.#last));
        requests.push({ type: "write", id: this.#last, body: encodeAtomicWrite(writeOf([set])) });
      }
      if (requests.length > 0) this.#writer.send(encodeClientFrame(requests));
      if (due === commits) clearInterval(timer);
    }, TICK_MS);
    try {
      await within(all, seconds * 1000 + LAST_MESSAGE_MS, "A watcher was not told of the last commit in time.");
    } finally {
      clearInterval(timer);
    }
    return {
      acknowledged: this.#late(this.#acknowledgedAt, first),
      sent: this.#late(this.#sentAt, first),
    };
  }

  #late(since: ReadonlyMap<number, number>, first: number): number[] {
    const late: number[] = [];
    for (let commit = first; commit <= this.#last; commit++) {
      const [told, from] = [this.#toldAt.get(commit), since.get(commit)];
      if (told === undefined || from === undefined) throw new Error("expected every commit to be told of");
      late.push(Math.max(0, told - from));
    }
    return late.toSorted((a, b) => a - b);
  }

  #told(body: Uint8Array, now: number): void {
    const output = decodeWatchOutput(body);
    const [entry] = output.ok ? output.entries : [];
    // The first state has no entry yet.
    if (entry === null || entry === undefined || entry === "unchanged") return;
    const { value } = entry;
    this.#toldNumber(new DataView(value.buffer, value.byteOffset).getUint32(0), now);
  }

  #toldNumber(commit: number, now: number): void {
    this.#toldAt.set(commit, now);
    this.#came();
  }

  #came(): void {
    this.#missing -= 1;
    if (this.#missing === 0) this.#done();
  }
}

function responsesOf(data: Buffer) {
  const frame = decodeServerFrame(data);
  if (!frame.ok) throw new Error(frame.message);
  return frame.responses;
}

const MOST_WATCHERS = 10_000;
const IN_FLIGHT = 64;
const HUB_ROUNDS = 11;
const LEAST_HELD = 0.9;

/** Two databases of one server: one with many watchers, one without. */
export async function measureCost(options: BenchOptions, cairn: Management): Promise<Report> {
  const places: SocketPlace[] = [];
  for (let i = 0; i < 2; i++) {
    places.push(await exchange(`${cairn.url}/databases/${await newDatabase(cairn)}/connect`, cairn.adminToken));
  }
  const [without, watched] = places;
  if (without === undefined || watched === undefined) throw new Error("expected two databases");
  const watchers = Math.min(MOST_WATCHERS, options.maxEntries / 100);
  progress(`socket: opening ${watchers} watches that no commit concerns`);
  const sockets = await inTurns(Math.ceil(watchers / MAX_SOCKET_WATCHES), async (index) => {
    const from = index * MAX_SOCKET_WATCHES;
    return watching(watched, from, Math.min(watchers, from + MAX_SOCKET_WATCHES));
  });
  const loads = [await SocketLoad.open(without), await SocketLoad.open(watched)] as const;
  try {
    const calls = workloads(1000).find(({ name }) => name === "set")?.calls ?? [];
    const series = ["none", "watched"].map((name, index): Series => {
      const load = loads[index];
      if (load === undefined) throw new Error("expected a socket for each");
      return { name, load: (seconds) => load.load(calls, IN_FLIGHT, seconds) };
    });
    progress("socket: the cost of watchers");
    const results = await measureRounds(series, options);
    const [none, many] = [results.get("none"), results.get("watched")];
    if (none === undefined || many === undefined) throw new Error("expected both to be measured");
    const ratio = ratioOf(many.perSecondOfRounds, none.perSecondOfRounds);
    const hubs: Watched[] = [
      [0, 0],
      [watchers / 2, watchers / 2],
    ];
    const rows = [
      ["sets per second on a socket", Math.round(none.perSecond), Math.round(many.perSecond), ratio.toFixed(2)],
      ...inTheHub(hubs),
    ];
    const title = `Commits that concern no watcher, with ${watchers} watchers (half on prefixes)`;
    const columns = ["what", "none", "watched", "ratio"];
    const what = `sets with ${watchers} watchers that they do not concern, × with none`;
    return { tables: [{ title, columns, rows }], targets: [{ what, atLeast: LEAST_HELD, measured: ratio }] };
  } finally {
    for (const each of [...sockets.map((socket) => () => socket.vanish()), ...loads.map((load) => () => load.close())])
      each();
  }
}

/** Watches of keys and of prefixes in turn, from this number to before that one. Resolves when all were told their first state. */
async function watching(place: SocketPlace, from: number, to: number): Promise<RawWebSocket> {
  const socket = await openSocket(place);
  const requests = Array.from({ length: to - from }, (_, index): SentRequest => {
    const key = keyOf("users", from + index);
    const id = index + 1;
    if (index % 2 === 0) return { type: "watch", id, body: encodeWatch([key]) };
    const options = { after: null, updatesOnly: false, ignoreDeletes: false, keysOnly: false };
    return { type: "watchPrefix", id, body: encodePrefixWatch({ prefix: key, ...options }) };
  });
  let untold = requests.length;
  const told = new Promise<void>((resolve, reject) => {
    socket.onMessage = (data) => {
      const responses = responsesOf(data);
      if (responses.some(({ field }) => field === SocketField.error)) reject(new Error("a watch was refused"));
      socket.send(encodeClientFrame(responses.map(({ id }) => ({ type: "ack", id: 0, watch: id }))));
      untold -= responses.length;
      if (untold <= 0) resolve();
    };
  });
  socket.send(encodeClientFrame(requests));
  await within(told, LAST_MESSAGE_MS, "The watches were not told their first state in time.");
  return socket;
}

/** Of keys that begin with the same part as what is watched: the harder case. */
function inTheHub(hubs: readonly Watched[]): (string | number)[][] {
  const [none, many] = hubCosts(hubs, HUB_ROUNDS).filter(({ name }) => name.endsWith("same part"));
  if (none === undefined || many === undefined) throw new Error("expected both hubs to be measured");
  return [["nanoseconds in the hub for a key", Math.round(none.nanoseconds), Math.round(many.nanoseconds), ""]];
}
