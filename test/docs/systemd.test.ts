/** The unit for systemd in docs/operations.md, as far as it is about this program: its command starts a server, and SIGTERM ends it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "../local/stand-in-server.ts";
import { blockWith, readPage, repository } from "./markdown.ts";

test("the unit's command starts a server without npm and without a Node of the system, and a stop is no failure", async () => {
  const unit = blockWith(readPage("docs/operations.md"), "ini", "[Service]");
  const [program = "", ...args] = (/^ExecStart=(.*)$/m.exec(unit)?.[1] ?? "")
    .replace("/opt/cairn", repository)
    .replace("/var/lib/cairn", temporaryFolder())
    .split(" ");
  const server = spawn(program, [...args, "--port", "0", "--json"], {
    cwd: repository,
    // No Node is found by its name, whatever this machine has.
    env: { PATH: "/nowhere" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(server, "exit");
  onTestFinished(() => void server.kill("SIGKILL"));
  const [line] = (await once(createInterface({ input: server.stdout }), "line")) as [string];
  const { url } = JSON.parse(line) as { readonly url: string };
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  server.kill("SIGTERM");
  expect(await exited).toEqual([0, null]);
});
