/** How much the front takes at a time, by the numbers of files that the system lets it and the server process have open. */
import { execFileSync } from "node:child_process";
import {
  DESCRIPTORS_PER_CONNECTION,
  DESCRIPTORS_PER_DATABASE,
  LASTING_SHARE_OF_PLACES,
  MAX_CLIENT_CONNECTIONS,
  MAX_CLIENT_REQUESTS,
  MAX_SESSION_ANSWERS_BYTES,
  MAX_SESSIONS,
  MAX_UNANSWERED_REQUEST_BYTES,
  MAX_UNTAKEN_ANSWER_BYTES,
  PLACES_PER_DESCRIPTOR,
  SESSIONS_SHARE_OF_PLACES,
} from "../../core/limits.ts";

export interface Capacity {
  readonly connections: number;
  readonly clients: number;
  readonly requests: number;
  readonly sessions: number;
  readonly lasting: number;
  readonly databases: number;
  /** Files that the server process may have open. */
  readonly descriptors: number;
  /** Bytes of requests that were not answered yet. */
  readonly requestBytes: number;
  /** Bytes of answers that were not taken yet. */
  readonly answerBytes: number;
  /** Bytes of such answers that came over sessions. */
  readonly sessionAnswerBytes: number;
}

/** Files that workerd and the front have open before any client connects, with room. */
const OWN_DESCRIPTORS = 100;

/** The capacity of a server process with this limit of open files, and of a front with the same limit. */
export function capacityFor(descriptors: number): Capacity {
  const free = Math.max(10, descriptors - OWN_DESCRIPTORS);
  const places = Math.min(MAX_CLIENT_REQUESTS, Math.floor(free * PLACES_PER_DESCRIPTOR));
  const sessions = Math.min(MAX_SESSIONS, Math.floor(places * SESSIONS_SHARE_OF_PLACES));
  const requests = places - sessions;
  const databases = Math.floor((free - places * DESCRIPTORS_PER_CONNECTION) / DESCRIPTORS_PER_DATABASE);
  return capacityOf({ descriptors, connections: free - places, requests, sessions, databases });
}

export function capacityOf({
  descriptors,
  connections,
  requests,
  sessions,
  databases,
}: Pick<Capacity, "descriptors" | "connections" | "requests" | "sessions" | "databases">): Capacity {
  return {
    descriptors,
    connections: Math.min(MAX_CLIENT_CONNECTIONS, connections),
    clients: MAX_CLIENT_REQUESTS,
    requests,
    sessions,
    lasting: Math.max(1, Math.floor(requests * LASTING_SHARE_OF_PLACES)),
    databases,
    requestBytes: MAX_UNANSWERED_REQUEST_BYTES,
    answerBytes: MAX_UNTAKEN_ANSWER_BYTES,
    sessionAnswerBytes: MAX_SESSION_ANSWERS_BYTES,
  };
}

/** The limit of open files for this process and those that it starts. Node has raised it to the most that the system allows. */
export function descriptorLimit(): number {
  const limit = Number(execFileSync("/bin/sh", ["-c", "ulimit -n"], { encoding: "utf8" }));
  // The system's answer may be "unlimited".
  return Number.isNaN(limit) ? Number.POSITIVE_INFINITY : limit;
}
