/** What a process takes of memory and of the processor, as the system counts it. */
import { readFileSync } from "node:fs";

/** The processor's time that a process has taken, in milliseconds: that of the kernel for it, too. */
export function processorMs(pid: number): number {
  // After the name, which may have spaces, the third field comes first: utime and stime are the 14th and the 15th.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) * MS_OF_TICK;
}

/** Of the kernel's clock, on every Linux that runs these programs. */
const MS_OF_TICK = 10;

export function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kilobytes) * 1024;
}
