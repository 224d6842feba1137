/** How many files this process and those that it starts may have open: raised as far as the system lets it. */
import { spawnSync } from "node:child_process";
import { descriptorLimit } from "../../src/local/front/capacity.ts";

/** Ten thousand sockets take two each in workerd, and one here. */
const WANTED = 65_536;

/** The limit from then on. Without the program `prlimit`, or the right to raise it, that is what it was. */
export function raiseDescriptorLimit(): number {
  if (descriptorLimit() < WANTED) spawnSync("prlimit", ["--pid", String(process.pid), `--nofile=${WANTED}:${WANTED}`]);
  return descriptorLimit();
}
