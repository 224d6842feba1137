/** The command line of `npm run bench`. */
import { parseArgs } from "node:util";
import { workloadNames, type WorkloadName } from "./workloads.ts";

export const partNames = [
  "kv-connect",
  "engine",
  "rows",
  "growth",
  "space",
  "front",
  "start",
  "directory",
  "deno",
  "socket",
  "http",
  "feed",
  "documents",
  "archives",
  "tenants",
] as const;
export type PartName = (typeof partNames)[number];

export interface PeerOptions {
  readonly name: string;
  readonly connectUrl: string;
  readonly accessToken: string;
}

export interface BenchOptions {
  readonly parts: readonly PartName[];
  readonly only: readonly WorkloadName[];
  readonly connections: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
  /**
   * Entries of the largest database of the parts growth, space and archives; the part directory makes at most a fiftieth as many databases, the part
   * socket at most a hundredth as many watches and idle sockets.
   */
  readonly maxEntries: number;
  readonly peers: readonly PeerOptions[];
  readonly json: string;
}

export const HELP = `Usage: npm run bench -- [options]

  --parts <names>              which measurements: ${partNames.join(",")} (all)
  --only <names>               which workloads, in kv-connect, growth and front: ${workloadNames.join(",")} (all)
  --connections <numbers>      how many clients at a time (1,32,128)
  --rounds <number>            interleaved rounds, of which the median is shown (5)
  --seconds <number>           length of each measurement in a round (1)
  --max-entries <number>       how large growth, space, archives, directory and socket go (1000000)
  --quick                      short and rough: 3 rounds of 0.3 s, 100,000 entries
  --peer <name>=<url>,<token>  another KV Connect server to put beside it, by its connect URL; may be repeated
  --json <file>                where the same is written as JSON (.cairn/bench.json)
  --help                       print this`;

/** Throws with a sentence that names the option. Undefined: help was asked for. */
export function parseBenchOptions(args: readonly string[]): BenchOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      parts: { type: "string", default: partNames.join(",") },
      only: { type: "string", default: workloadNames.join(",") },
      connections: { type: "string", default: "1,32,128" },
      rounds: { type: "string" },
      seconds: { type: "string" },
      "max-entries": { type: "string" },
      quick: { type: "boolean", default: false },
      peer: { type: "string", multiple: true, default: [] },
      json: { type: "string", default: ".cairn/bench.json" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const defaults = values.quick
    ? { rounds: "3", seconds: "0.3", entries: "100000" }
    : { rounds: "5", seconds: "1", entries: "1000000" };
  return {
    parts: namesOf("--parts", values.parts, partNames),
    only: namesOf("--only", values.only, workloadNames),
    connections: values.connections.split(",").map((text) => positive("--connections", text)),
    rounds: positive("--rounds", values.rounds ?? defaults.rounds),
    seconds: positive("--seconds", values.seconds ?? defaults.seconds),
    maxEntries: positive("--max-entries", values["max-entries"] ?? defaults.entries),
    peers: values.peer.map(peerOf),
    json: values.json,
  };
}

function namesOf<Name extends string>(option: string, text: string, known: readonly Name[]): Name[] {
  const wanted = text.split(",");
  const unknown = wanted.find((name) => !known.some((each) => each === name));
  if (unknown !== undefined) throw new Error(`${option}: there is no "${unknown}"; there are ${known.join(", ")}.`);
  return known.filter((name) => wanted.includes(name));
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`${option}: expected a number above 0, got "${text}".`);
  return value;
}

function peerOf(text: string): PeerOptions {
  const [, name, connectUrl, accessToken] = /^([^=]+)=(http:[^,]+),(.+)$/.exec(text) ?? [];
  if (name === undefined || connectUrl === undefined || accessToken === undefined) {
    throw new Error(`--peer: expected name=http://host:port/path,token, got "${text}".`);
  }
  return { name, connectUrl, accessToken };
}
