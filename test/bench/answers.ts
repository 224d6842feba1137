/** Looks at answers before they are measured: a server that answers quickly and wrongly is not fast. */
import { fromBinary } from "@bufbuild/protobuf";
import {
  AtomicWriteOutputSchema,
  AtomicWriteStatus,
  SnapshotReadOutputSchema,
} from "../support/proto/generated/com/deno/kv/datapath/datapath_pb.js";
import type { Connections } from "./load.ts";
import type { KvConnectServer } from "./servers.ts";
import type { Workload } from "./workloads.ts";

/** Sends the first call of each workload; throws when the answer is not what it must be. */
export async function assertAnswers(
  server: KvConnectServer,
  connections: Connections,
  measured: readonly Workload[],
): Promise<void> {
  for (const { name, calls, entries } of measured) {
    const [call] = calls;
    if (call === undefined) throw new Error(`expected ${name} to have a call`);
    const { status, body } = await connections.exchange(server.request(call));
    if (status !== 200) throw new Error(`${name} was answered ${status}: ${body.toString()}`);
    if (entries === undefined) {
      const output = fromBinary(AtomicWriteOutputSchema, body);
      if (output.status !== AtomicWriteStatus.SUCCESS) throw new Error(`${name} did not commit`);
      continue;
    }
    const output = fromBinary(SnapshotReadOutputSchema, body);
    const got = output.ranges.reduce((sum, range) => sum + range.values.length, 0);
    if (got !== entries) throw new Error(`${name} gave ${got} entries instead of ${entries}`);
  }
}
