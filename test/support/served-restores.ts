/** What a test asks of a served database about going back in time, and all that is in it. A server that was killed is asked again. */
import { fromBinary } from "@bufbuild/protobuf";
import { toHex } from "../../src/core/bytes.ts";
import { encodeSnapshotRead } from "../../src/codec/datapath-requests.ts";
import type { Failure } from "../../src/core/errors.ts";
import type { RestoreAnswer, RestoreCommand, BackupJob } from "../../src/contracts/restore-commands.ts";
import type { BackupServer } from "./backup-server.ts";
import { SnapshotReadOutputSchema } from "./proto/generated/com/deno/kv/datapath/datapath_pb.js";

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export class ServedRestores {
  readonly id: string;
  readonly #server: BackupServer;

  constructor(server: BackupServer, id: string) {
    this.#server = server;
    this.id = id;
  }

  /** Asks again while the server does not answer, or says that it is too early. */
  async ask(command: RestoreCommand): Promise<RestoreAnswer | Failure> {
    for (let i = 0; ; i++) {
      const answer = await this.#once(command).catch(String);
      if (typeof answer !== "string" && (answer.ok || answer.code !== "unavailable")) return answer;
      if (i > 300) throw new Error(`no answer to ${command.command}: ${JSON.stringify(answer)}`);
      await sleep(100);
    }
  }

  /** Must succeed. */
  async job(command: RestoreCommand): Promise<BackupJob> {
    const answer = await this.ask(command);
    if (!answer.ok || answer.kind !== "job") throw new Error(JSON.stringify(answer));
    return answer.job;
  }

  /** Until the job is over, with `meanwhile` called again and again. */
  async finished(
    jobId: string,
    meanwhile: (job: BackupJob) => Promise<void> = () => sleep(100),
    withinMs = 120_000,
  ): Promise<BackupJob> {
    const deadline = Date.now() + withinMs;
    for (;;) {
      const job = await this.job({ command: "job", jobId });
      if (job.status !== "running") return job;
      if (Date.now() > deadline) throw new Error(`the job does not end: ${JSON.stringify(job)}`);
      await meanwhile(job);
    }
  }

  /** Every entry, by its key in hex; null: it cannot be read just now. */
  async entries(): Promise<Map<string, string> | null> {
    const all = new Map<string, string>();
    let start = Uint8Array.of(1);
    for (;;) {
      const range = { start, end: Uint8Array.of(255), limit: 1000, reverse: false };
      const response = await fetch(`${this.#server.server.url}/test/read/${this.id}`, {
        method: "POST",
        body: encodeSnapshotRead([range]),
      });
      if (!response.ok) return null;
      const output = fromBinary(SnapshotReadOutputSchema, new Uint8Array(await response.arrayBuffer()));
      const values = output.ranges[0]?.values ?? [];
      for (const { key, value, versionstamp } of values) all.set(toHex(key), `${toHex(versionstamp)} ${toHex(value)}`);
      const last = values.at(-1);
      if (last === undefined || values.length < 1000) return all;
      start = Uint8Array.of(...last.key, 0);
    }
  }

  async #once(command: RestoreCommand): Promise<RestoreAnswer | Failure> {
    const response = await fetch(`${this.#server.server.url}/test/restore/${this.id}`, {
      method: "POST",
      body: JSON.stringify(command),
      signal: AbortSignal.timeout(20_000),
    });
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
    // The test's door answers with what the object did.
    return (await response.json()) as RestoreAnswer | Failure;
  }
}
