/** The image of the Dockerfile: what is in it, and that a server starts in it, where this machine has a Docker to build it. */
import { execFile, execFileSync, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { copiedPaths, instructions } from "../support/dockerfile.ts";
import { repository } from "./program.ts";

const run = promisify(execFile);

/** Null where an image can be built. */
function whyNoDocker(): string | null {
  const { error, status, stderr } = spawnSync("docker", ["version"], { encoding: "utf8", timeout: 10_000 });
  if (error !== undefined) return `docker cannot be run: ${error.message}`;
  return status === 0 ? null : `docker has no daemon here: ${stderr.trim()}`;
}

test("what is copied into the image is all that .dockerignore lets through", () => {
  const ignore = readFileSync(join(repository, ".dockerignore"), "utf8").trim().split("\n");
  const [, everything, ...exceptions] = ignore;
  expect(everything).toBe("*");
  expect(exceptions.map((line) => line.slice(1)).toSorted()).toEqual(copiedPaths().toSorted());
});

test("the image does not run as root", () => {
  expect(instructions("USER")).toEqual(["node"]);
});

test(
  "the image is built, and its server answers, as no root, and keeps its data",
  { timeout: 900_000 },
  async (context) => {
    const reason = whyNoDocker();
    if (reason !== null) return context.skip(reason);
    const name = `cairn-test-${randomUUID()}`;
    await run("docker", ["build", "--quiet", "--tag", name, repository], { timeout: 800_000 });
    onTestFinished(() => void execFileSync("docker", ["image", "rm", "--force", name]));
    const volume = `${name}-data`;
    onTestFinished(() => void execFileSync("docker", ["volume", "rm", "--force", volume]));

    const ids: string[] = [];
    const started = async (): Promise<{ readonly id: string; readonly url: string }> => {
      const options = ["--detach", "--publish", "127.0.0.1:0:4512", "--volume", `${volume}:/data`];
      const id = (await run("docker", ["run", ...options, name])).stdout.trim();
      ids.push(id);
      const address = (await run("docker", ["port", id, "4512/tcp"])).stdout.trim();
      const url = `http://${address}`;
      const ready = () => fetch(`${url}/healthz`).then(({ status }) => status, String);
      await expect.poll(ready, { timeout: 60_000, interval: 500 }).toBe(200);
      return { id, url };
    };
    onTestFinished(() => void execFileSync("docker", ["rm", "--force", ...ids]));

    const first = await started();
    const inside = async (...command: string[]) => (await run("docker", ["exec", first.id, ...command])).stdout.trim();
    expect(await inside("id", "-u")).not.toBe("0");
    expect(await inside("stat", "-c", "%a %U", "/data")).toBe("700 node");
    const { databaseId } = JSON.parse(await inside("cat", "/data/tenant.json"));
    await run("docker", ["stop", first.id]);
    expect((await run("docker", ["inspect", "--format", "{{.State.ExitCode}}", first.id])).stdout.trim()).toBe("0");

    const second = await started();
    const kept = await run("docker", ["exec", second.id, "cat", "/data/tenant.json"]);
    expect(JSON.parse(kept.stdout).databaseId).toBe(databaseId);
  },
);
