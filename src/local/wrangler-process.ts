/** One run of wrangler's development server: the Worker from its sources, rebuilt when they change, with a local R2. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { failure, type Failure } from "../core/errors.ts";
import { spawnGuarded } from "./guarded-process.ts";
import type { Variables } from "./server.ts";
import type { Upstream } from "./upstream.ts";

/**
 * Starts wrangler in the repository, and resolves when it listens. Its data has another form than that of plain workerd, so the folder is
 * not that of `npm start`. What wrangler prints goes to stderr.
 */
export async function startWrangler(
  repository: string,
  folder: string,
  environment: Variables,
): Promise<Upstream | Failure> {
  const variables = join(folder, "variables.env");
  const destinations = process.env["CAIRN_DESTINATIONS"] ?? "any";
  writeFileSync(variables, envFile({ CAIRN_DESTINATIONS: destinations, ...environment }), { mode: 0o600 });

  const args = [
    join(repository, "node_modules/wrangler/bin/wrangler.js"),
    "dev",
    `--config=${join(repository, "wrangler.toml")}`,
    "--ip=127.0.0.1",
    "--port=0",
    "--inspector-port=0",
    `--persist-to=${folder}`,
    `--env-file=${variables}`,
    "--show-interactive-dev-session=false",
  ];
  const wrangler = await spawnGuarded(process.execPath, args, { ...process.env, ...withoutProxyToItself() });
  wrangler.stderr.pipe(process.stderr, { end: false });
  const exited = wrangler.exited.then((how) => `wrangler ended (${how}); what it said is above`);
  const port = await Promise.race([readyPort(wrangler.stdout), exited]);

  if (typeof port === "string") return failure("internal", port);
  return { address: { host: "127.0.0.1", port }, pid: wrangler.pid, exited, stop: (graceMs) => wrangler.stop(graceMs) };
}

/**
 * Wrangler talks to processes of its own on this machine, and would use the environment's proxy for that unless NO_PROXY excludes them.
 */
function withoutProxyToItself(): Variables {
  const given = process.env["no_proxy"] ?? process.env["NO_PROXY"];
  const all = [...(given === undefined ? [] : [given]), "localhost", "127.0.0.1", "::1"].join(",");
  return { no_proxy: all, NO_PROXY: all };
}

/** Passes all lines on, also those after the one that names the port. */
function readyPort(output: Readable): Promise<number> {
  return new Promise((resolve) => {
    createInterface({ input: output }).on("line", (line) => {
      process.stderr.write(`${line}\n`);
      const port = /Ready on http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1];
      if (port !== undefined) resolve(Number(port));
    });
  });
}

/** The form of every value excludes quotes. */
function envFile(environment: Variables): string {
  return Object.entries(environment)
    .map(([name, value]) => `${name}='${value}'\n`)
    .join("");
}
