/** A process that runs test files of a copied tree, one at a time, each with a deadline; it is killed with all that it started. */
import { fork, type ChildProcess } from "node:child_process";
import type { Answer, Request } from "./runner.ts";

export type Outcome = { readonly kind: "passed" | "timeout" } | { readonly kind: "failed"; readonly failure: string };

export class TestProcess {
  readonly #folder: string;
  #child: ChildProcess | undefined;

  /** `folder`: the copied tree. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** After a timeout, and after the process ended by itself, the next call starts another. */
  run(request: Request, deadlineMs: number): Promise<Outcome> {
    const child = (this.#child ??= this.#start());
    return new Promise((resolve) => {
      const end = (outcome: Outcome) => {
        clearTimeout(timer);
        child.removeAllListeners();
        resolve(outcome);
      };
      const timer = setTimeout(() => {
        this.stop();
        end({ kind: "timeout" });
      }, deadlineMs);
      child.once("message", ({ failure }: Answer) =>
        end(failure === undefined ? { kind: "passed" } : { kind: "failed", failure }),
      );
      child.once("exit", (code) => {
        this.#child = undefined;
        end({ kind: "failed", failure: `the tests' process ended with ${code}` });
      });
      child.send(request);
    });
  }

  stop(): void {
    const pid = this.#child?.pid;
    this.#child = undefined;
    // Its group, workerd among it.
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  }

  #start(): ChildProcess {
    // What the tests and workerd print is no news: how they came out is in the answer.
    const stdio = ["ignore", "ignore", "ignore", "ipc"] as const;
    return fork(new URL("runner.ts", import.meta.url), { cwd: this.#folder, detached: true, stdio: [...stdio] });
  }
}
