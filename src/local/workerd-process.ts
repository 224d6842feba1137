/** One run of workerd on a data folder. It is started, ready on a socket of its own, and gone when `exited` says so. */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { failure, type Failure } from "../core/errors.ts";
import { ArchiveFolder } from "./archive-folder.ts";
import type { ShareLimit } from "./archive-shares.ts";
import { defaultDiskOptions, type DiskOptions, DiskSpace } from "./disk-space.ts";
import { ErrorReasons } from "./error-reasons.ts";
import { spawnGuarded } from "./guarded-process.ts";
import { OutboundProxy, type ProxySettings } from "./outbound-proxy.ts";
import { askOverHttp, LIVENESS, systemTimers, watchLiveness, type LivenessTimes } from "./liveness.ts";
import { socketPlaceIn, type ProcessAddress } from "./process-address.ts";
import type { Upstream } from "./upstream.ts";
import { workerdNames } from "./workerd-config.ts";

export interface WorkerdFiles {
  /** The bundled Worker, an ES module. */
  readonly worker: string;
  /** From `workerdConfig`. */
  readonly config: string;
  /** Certificates in PEM, if the configuration names them. */
  readonly trusted: string | null;
  /** The proxy for some requests, if the configuration says that there is one. */
  readonly proxy: ProxySettings | null;
}

/** How many of the last lines that workerd wrote are told when it dies. */
const LAST_LINES = 10;

export interface WorkerdOptions {
  /** Further flags of workerd, for measurements. */
  readonly flags?: readonly string[];
  /**
   * workerd listens on a free TCP port of this machine, which any user of the machine can reach, for measurements. By default it listens
   * on a Unix socket.
   */
  readonly overTcp?: boolean;
  /** When a workerd that hangs is given up. */
  readonly liveness?: LivenessTimes | undefined;
  readonly disk?: Partial<DiskOptions>;
  /** The folder of the destinations "local", as an absolute path. By default the one in the data folder. */
  readonly archives?: string | undefined;
  /** How much of that folder one organization takes at most. null: not given. */
  readonly archiveShare?: ShareLimit | null;
}

/**
 * Writes the files into the folder's run/, starts workerd on them, and resolves when it listens. A workerd that hangs, before that or
 * later, is killed.
 */
export async function startWorkerd(
  folder: string,
  files: WorkerdFiles,
  environment: Readonly<NodeJS.ProcessEnv>,
  options: WorkerdOptions = {},
): Promise<Upstream | Failure> {
  const { flags = [], overTcp = false, liveness = LIVENESS, archives, archiveShare = null } = options;
  const diskOptions = { ...defaultDiskOptions, ...options.disk };
  const [run, objects] = [join(folder, "run"), join(folder, "objects")];
  // The folder itself is not made: when it was removed, the data and the lock are gone, and it must not come back empty and unlocked.
  for (const each of [run, objects]) if (!existsSync(each)) mkdirSync(each);
  chmodSync(run, 0o700);
  writeIfChanged(join(run, "worker.js"), files.worker);
  writeIfChanged(join(run, "config.capnp"), files.config);
  if (files.trusted !== null) writeIfChanged(join(run, "trusted.pem"), files.trusted);

  const disk = await DiskSpace.serve(folder, diskOptions);
  const reasons = await ErrorReasons.serve();
  const proxy = files.proxy === null ? null : await OutboundProxy.serve(files.proxy);
  const archiveSocket = socketPlaceIn(run, "archives.sock");
  const closeArchives = await ArchiveFolder.serve(archives ?? join(folder, "archives"), archiveSocket, {
    reserve: diskOptions.reserve,
    share: archiveShare,
  });
  const socket = overTcp ? null : socketPlaceIn(run, "http.sock");
  const close = (): void => {
    socket?.remove();
    disk.close();
    reasons.close();
    proxy?.close();
    closeArchives();
    archiveSocket.remove();
  };
  const args = [
    "serve",
    join(run, "config.capnp"),
    `--socket-addr=${workerdNames.socket}=${socket === null ? "127.0.0.1:0" : `unix:${socket.path}`}`,
    `--directory-path=${workerdNames.objects}=${objects}`,
    `--external-addr=${workerdNames.disk}=${disk.address}`,
    `--external-addr=${workerdNames.reasons}=${reasons.address}`,
    `--external-addr=${workerdNames.archives}=unix:${archiveSocket.path}`,
    ...(proxy === null ? [] : [`--external-addr=${workerdNames.proxy}=${proxy.address}`]),
    "--control-fd=4",
    ...flags,
  ];
  const workerd = await spawnGuarded(workerdProgram(), args, environment).catch((error: unknown) => {
    close();
    throw error;
  });
  void workerd.exited.then(close);
  try {
    writePid(folder, workerd.pid);
  } catch (error) {
    // Otherwise nobody would know of this process, and the next one would run beside it on the same folder.
    await workerd.stop(0);
    throw error;
  }

  const lastLines: string[] = [];
  const outputsEnd = [workerd.stdout, workerd.stderr].map(async (output) => {
    const isKnown = repeatsFullDisk(disk);
    for await (const line of createInterface({ input: output })) {
      reasons.note(line);
      if (!isKnown(line)) process.stderr.write(`workerd: ${line}\n`);
      lastLines.push(line);
      if (lastLines.length > LAST_LINES) lastLines.shift();
    }
  });
  let hung = "";
  const kill = (): void => {
    hung = `, which had not answered for ${liveness.deadlineMs / 1000} seconds`;
    void workerd.stop(0);
  };
  const exited = workerd.exited.then(async (how) => {
    retirePid(folder);
    await Promise.all(outputsEnd);
    return [`workerd ended (${how})${hung}`, ...lastLines].join("\n  ");
  });
  const cancelStart = systemTimers.after(liveness.deadlineMs, kill);
  const port = await Promise.race([listeningPort(workerd.control), exited]);
  cancelStart();
  if (typeof port === "string") return failure("internal", port);
  const address: ProcessAddress = socket === null ? { host: "127.0.0.1", port } : { path: socket.path };
  const stopWatching = watchLiveness(askOverHttp(address), liveness, systemTimers, kill);
  void exited.then(stopWatching);
  return { address, pid: workerd.pid, exited, stop: (graceMs) => workerd.stop(graceMs) };
}

/**
 * Whether a line only repeats what the log says of the disk. While the disk is full, the runtime writes several lines with a stack for
 * each failed write.
 */
function repeatsFullDisk(disk: DiskSpace): (line: string) => boolean {
  let repeats = false;
  return (line) => {
    const continues = /^(stack: |\s+at |\s*[\w]+: \w+,?$|\})/.test(line);
    if (!continues) repeats = disk.isShort() && /\bSQLITE_(FULL|IOERR)/.test(line);
    return repeats;
  };
}

/** Writes only a changed text, so that a workerd that died is also started again where nothing new can be written. */
function writeIfChanged(file: string, text: string): void {
  if (!existsSync(file) || readFileSync(file, "utf8") !== text) writeFileSync(file, text);
}

/**
 * Reads workerd's control messages: a line of JSON for each socket that listens, ours and perhaps its inspector's. 0 when ours is a Unix
 * socket.
 */
async function listeningPort(control: Readable): Promise<number> {
  for await (const line of createInterface({ input: control })) {
    const message: unknown = JSON.parse(line);
    if (typeof message !== "object" || message === null || !("socket" in message)) continue;
    if (message.socket === workerdNames.socket && "port" in message && typeof message.port === "number") {
      return message.port;
    }
  }
  // The pipe ended because workerd has ended. The caller learns that from its exit.
  return new Promise(() => undefined);
}

function workerdProgram(): string {
  // The package is CommonJS without types. Its default export is the path of the platform's program.
  return (createRequire(import.meta.url)("workerd") as { readonly default: string }).default;
}

/**
 * Resolves when no workerd of an earlier server runs on the folder any more: when it is killed together with its parent, it may take a
 * moment to end. The caller holds the folder's lock. `conflict`: one still runs after five seconds.
 */
export async function orphanGone(folder: string): Promise<Failure | undefined> {
  const pid = readPid(folder);
  if (pid === undefined) return undefined;
  for (let waited = 0; runsOn(pid, folder); waited += 50) {
    if (waited >= 5000) {
      return failure(
        "conflict",
        `A workerd of an earlier server (process ${pid}) still runs on ${folder}: end it first.`,
      );
    }
    await sleep(50);
  }
  return undefined;
}

const pidFile = (folder: string): string => join(folder, "workerd.pid");

const PID_BYTES = 20;

/** The file for the number of the last process. The next number overwrites it with as many bytes, because a full disk has no others. */
const spareFile = (folder: string): string => join(folder, "run/last.pid");

function writePid(folder: string, pid: number): void {
  const spare = spareFile(folder);
  const file = openSync(spare, existsSync(spare) ? "r+" : "w");
  try {
    writeSync(file, `${pid}`.padEnd(PID_BYTES - 1).concat("\n"), 0);
  } finally {
    closeSync(file);
  }
  renameSync(spare, pidFile(folder));
}

function retirePid(folder: string): void {
  if (existsSync(pidFile(folder))) renameSync(pidFile(folder), spareFile(folder));
}

function readPid(folder: string): number | undefined {
  const file = pidFile(folder);
  return existsSync(file) ? Number(readFileSync(file, "utf8")) : undefined;
}

/** Whether the process is a workerd on this folder: another process may have the number by now. */
function runsOn(pid: number, folder: string): boolean {
  const file = `/proc/${pid}/cmdline`;
  if (existsSync("/proc/self/cmdline")) return existsSync(file) && readFileSync(file, "utf8").includes(folder);
  return spawnSync("ps", ["-o", "args=", "-p", String(pid)], { encoding: "utf8" }).stdout.includes(folder);
}
