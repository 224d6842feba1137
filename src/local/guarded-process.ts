/**
 * A child process that never outlives this one. The kernel closes the guard's pipe when this process ends, even by kill -9. A shell that
 * waits on the pipe then kills the child and everything that the child started.
 */
import { spawn } from "node:child_process";
import { Duplex, type Readable } from "node:stream";

export interface GuardedProcess {
  /** The process id of the program. The shell's process becomes the program. */
  readonly pid: number;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** What the program writes to descriptor 4. */
  readonly control: Readable;
  /** How the process ended: "exit code 1", "SIGKILL". When this resolves, nothing that it started runs any more. */
  readonly exited: Promise<string>;
  /** Sends SIGTERM, and SIGKILL after the grace. Resolves when the process has ended. */
  stop(graceMs: number): Promise<void>;
}

/**
 * Descriptor 3 is the guard's pipe, into which nothing is ever written. The program leads a process group of its own. So a Ctrl-C in the
 * terminal does not reach it before this process has acted, and the guard, which is in the group, can kill the whole group. Where the
 * shell knows the signal, a file that may not grow (`ulimit -f`) causes an error for its writer instead of killing the writer.
 */
const GUARD =
  '(trap "" XFSZ) 2>/dev/null && trap "" XFSZ; (exec >/dev/null 2>&1 4>&-; read -r _ <&3; kill -9 -$$) & exec "$0" "$@" 3<&-';

/** Rejects when the program cannot be started at all. */
export async function spawnGuarded(
  program: string,
  args: readonly string[],
  environment: Readonly<NodeJS.ProcessEnv>,
): Promise<GuardedProcess> {
  const child = spawn("/bin/sh", ["-c", GUARD, program, ...args], {
    stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"],
    detached: true,
    env: environment,
  });
  const exited = new Promise<string>((resolve) => {
    child.once("exit", (code, signal) => {
      killGroup(child.pid);
      resolve(signal ?? `exit code ${code}`);
    });
  });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  const [, stdout, stderr, , control] = child.stdio;
  const { pid } = child;
  if (pid === undefined || stdout === null || stderr === null || !(control instanceof Duplex)) {
    throw new Error("expected a spawned process to have its pid and its pipes");
  }
  return {
    pid,
    stdout,
    stderr,
    control,
    exited,
    async stop(graceMs) {
      child.kill("SIGTERM");
      const impatience = setTimeout(() => child.kill("SIGKILL"), graceMs);
      await exited;
      clearTimeout(impatience);
    },
  };
}

/** Kills the rest of a group whose leader has ended: the guard, and children that did not end with their parent. */
function killGroup(leader: number | undefined): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, "SIGKILL");
  } catch (error) {
    // The group is already gone, as intended.
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
