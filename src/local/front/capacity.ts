/** How much the front takes at a time, by what the system lets it and the server process have open. */
import { execFileSync } from "node:child_process";
import {
  DESCRIPTORS_PER_CONNECTION,
  DESCRIPTORS_PER_DATABASE,
  LASTING_SHARE_OF_PLACES,
  MAX_CLIENT_CONNECTIONS,
  MAX_CLIENT_REQUESTS,
  MAX_UNANSWERED_REQUEST_BYTES,
  MAX_UNTAKEN_ANSWER_BYTES,
  PLACES_PER_DESCRIPTOR,
} from "../../core/limits.ts";

export interface Capacity {
  readonly connections: number;
  readonly clients: number;
  readonly requests: number;
  readonly lasting: number;
  readonly databases: number;
  /** Files that the server process may have open. */
  readonly descriptors: number;
  /** Of requests that were not answered yet. */
  readonly requestBytes: number;
  /** Of answers that were not taken yet. */
  readonly answerBytes: number;
}

/** What workerd and the front have open before anybody connects, with room. */
const OWN_DESCRIPTORS = 100;

/** Of a server process with this limit of open files, and a front with the same. */
export function capacityFor(descriptors: number): Capacity {
  const free = Math.max(10, descriptors - OWN_DESCRIPTORS);
  const requests = Math.min(MAX_CLIENT_REQUESTS, Math.floor(free * PLACES_PER_DESCRIPTOR));
  const databases = Math.floor((free - requests * DESCRIPTORS_PER_CONNECTION) / DESCRIPTORS_PER_DATABASE);
  return capacityOf({ descriptors, connections: free - requests, requests, databases });
}

export function capacityOf({
  descriptors,
  connections,
  requests,
  databases,
}: Pick<Capacity, "descriptors" | "connections" | "requests" | "databases">): Capacity {
  return {
    descriptors,
    connections: Math.min(MAX_CLIENT_CONNECTIONS, connections),
    clients: MAX_CLIENT_REQUESTS,
    requests,
    lasting: Math.max(1, Math.floor(requests * LASTING_SHARE_OF_PLACES)),
    databases,
    requestBytes: MAX_UNANSWERED_REQUEST_BYTES,
    answerBytes: MAX_UNTAKEN_ANSWER_BYTES,
  };
}

/** Of open files, of this process and of those that it starts: node has raised it to what the system allows at most. */
export function descriptorLimit(): number {
  const limit = Number(execFileSync("/bin/sh", ["-c", "ulimit -n"], { encoding: "utf8" }));
  // It may be "unlimited".
  return Number.isNaN(limit) ? Number.POSITIVE_INFINITY : limit;
}
