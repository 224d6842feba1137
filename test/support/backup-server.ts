/** A server on plain workerd whose databases can be backed up from a test. */
import { isFailure } from "../../src/core/errors.ts";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import type { BackupAnswer, BackupCommand, BackupInfo } from "../../src/contracts/backup-commands.ts";
import { encodeAtomicWrite } from "../../src/codec/datapath-requests.ts";
import type { AtomicWrite } from "../../src/core/operations.ts";
import { type Version, versionOfBytes } from "../../src/core/versionstamp.ts";
import { onWorkerd, type RunningServer, startServer } from "../../src/local/server.ts";
import { cairnDeployment } from "../../src/local/workerd-config.ts";
import { AtomicWriteOutputSchema } from "./proto/generated/com/deno/kv/datapath/datapath_pb.js";
import { builtWorker } from "./built-workers.ts";
import { destinationAt, type S3Place } from "./s3-place.ts";

export class BackupServer {
  readonly server: RunningServer;

  constructor(server: RunningServer) {
    this.server = server;
  }

  static async start(flags: Parameters<typeof onWorkerd>[2] = {}): Promise<BackupServer> {
    const entry = join(import.meta.dirname, "workerd/backup-worker.ts");
    const startUpstream = await onWorkerd(entry, cairnDeployment, { ...flags, build: builtWorker });
    if (isFailure(startUpstream)) throw new Error(startUpstream.message);
    const persistTo = mkdtempSync(join(tmpdir(), "cairn-backup-"));
    const server = await startServer({ host: "127.0.0.1", port: 0, persistTo, secrets: {}, startUpstream });
    if (isFailure(server)) throw new Error(server.message);
    return new BackupServer(server);
  }

  /** A new, empty one. */
  database(): ServedDatabase {
    return new ServedDatabase(this.server.url, randomUUID());
  }

  /** Of a server that was started with V8's flag for it. */
  async collectGarbage(): Promise<void> {
    const response = await fetch(`${this.server.url}/test/collect`, { method: "POST" });
    if (!response.ok) throw new Error(await response.text());
  }

  /** As a crash of the machine ends it, at once; another takes its place. */
  kill(): void {
    const { upstream } = this.server;
    if (upstream !== undefined) process.kill(upstream.pid, "SIGKILL");
  }

  async close(): Promise<void> {
    await this.server.close();
    rmSync(this.server.folder, { recursive: true, force: true });
  }
}

export class ServedDatabase {
  readonly id: string;
  readonly #url: string;

  constructor(url: string, id: string) {
    this.#url = url;
    this.id = id;
  }

  async run(command: BackupCommand): Promise<BackupAnswer> {
    const response = await fetch(`${this.#url}/test/backup/${this.id}`, {
      method: "POST",
      body: JSON.stringify(command),
    });
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
    // The test's door answers with what the object did.
    return (await response.json()) as BackupAnswer;
  }

  /** Must succeed. */
  async ask(command: BackupCommand): Promise<BackupInfo> {
    const answer = await this.run(command);
    if (!answer.ok) throw new Error(`${answer.code}: ${answer.message}`);
    if (answer.backup === null) throw new Error("there is no backup");
    return answer.backup;
  }

  enabling(place: S3Place, prefix = ""): Extract<BackupCommand, { command: "enable" }> {
    return {
      command: "enable",
      id: randomUUID(),
      databaseId: this.id,
      destination: { ...destinationAt(place), sessionToken: null, prefix },
      intervalMs: 2_000,
      retentionDays: 7,
    };
  }

  enable(place: S3Place, prefix = ""): Promise<BackupInfo> {
    return this.ask(this.enabling(place, prefix));
  }

  info(): Promise<BackupInfo> {
    return this.ask({ command: "status" });
  }

  /** Waits until this holds of the backup; a server that is being started again is asked again. */
  async until(what: string, holds: (info: BackupInfo) => boolean, withinMs = 60_000): Promise<BackupInfo> {
    const deadline = Date.now() + withinMs;
    for (;;) {
      const info = await this.info().catch(String);
      if (typeof info !== "string" && holds(info)) return info;
      if (Date.now() > deadline) throw new Error(`not ${what}: ${JSON.stringify(info, null, 1)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Must succeed. */
  async commit(write: AtomicWrite): Promise<Version> {
    const response = await fetch(`${this.#url}/test/commit/${this.id}`, {
      method: "POST",
      body: encodeAtomicWrite(write),
    });
    if (!response.ok) throw new Error(await response.text());
    const { versionstamp } = fromBinary(AtomicWriteOutputSchema, new Uint8Array(await response.arrayBuffer()));
    const version = versionOfBytes(versionstamp);
    if (version === undefined) throw new Error("the write was not committed");
    return version;
  }
}
