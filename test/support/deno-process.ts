/** The real Deno of this checkout: one process that carries out orders, each a line of JSON, with `Deno.openKv`. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { TestServer } from "./server.ts";

const binary = fileURLToPath(new URL("../../node_modules/.bin/deno", import.meta.url));

interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

export interface DenoProcess {
  /** What the program answers to the order; rejects with what it has thrown, or when it has ended. */
  order(order: object): Promise<unknown>;
  close(): Promise<void>;
}

/** `program`: the path of a script that answers `{id, order}` with `{id, result}` or `{id, error}`, line by line, until its stdin ends. */
export function startDenoProcess(program: string, server: Pick<TestServer, "connectUrl" | "accessToken">): DenoProcess {
  const deno = spawn(
    binary,
    ["run", "--allow-all", "--unstable-kv", "--no-config", "--no-lock", program, server.connectUrl],
    {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, DENO_KV_ACCESS_TOKEN: server.accessToken, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
    },
  );
  const exited = once(deno, "exit");
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let lastId = 0;
  let stderr = "";
  deno.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  createInterface({ input: deno.stdout }).on("line", (line) => {
    const { id, result, error } = JSON.parse(line) as Answer;
    if (error === undefined) waiting.get(id)?.resolve(result);
    else waiting.get(id)?.reject(new Error(`in Deno: ${error}`));
    waiting.delete(id);
  });
  deno.on("exit", (code, signal) => {
    for (const each of waiting.values()) each.reject(new Error(`Deno ended with ${code ?? signal}:\n${stderr}`));
  });
  // A Deno that has ended closes its end: the orders it did not answer are rejected above.
  deno.stdin.on("error", () => undefined);
  return {
    order(order) {
      if (deno.exitCode !== null) return Promise.reject(new Error(`Deno has ended:\n${stderr}`));
      const id = ++lastId;
      const answer = Promise.withResolvers<unknown>();
      waiting.set(id, answer);
      deno.stdin.write(`${JSON.stringify({ id, order })}\n`);
      return answer.promise;
    },
    async close() {
      deno.stdin.end();
      // A watch that a failed case left open would keep it waiting.
      deno.kill("SIGTERM");
      await exited;
    },
  };
}
