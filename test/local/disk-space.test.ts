/** What `npm start` says of its disk: to workerd, which asks, and in the log, once for each change. */
import { existsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { makeRoomToStart } from "../../src/local/ballast.ts";
import { diskReserveOf, type DiskOptions, DiskSpace, measureDisk } from "../../src/local/disk-space.ts";
import type { DiskFigures } from "../../src/core/storage-room.ts";
import { announced, runScript } from "./program.ts";
import { temporaryFolder } from "./stand-in-server.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

async function served(options: Partial<DiskOptions> & Pick<DiskOptions, "measure">) {
  const said: string[] = [];
  const folder = temporaryFolder();
  const say = (sentence: string) => said.push(sentence.replaceAll(folder, "/data"));
  const disk = await DiskSpace.serve(folder, { reserve: null, say, ...options });
  onTestFinished(disk.close);
  const ask = async (): Promise<DiskFigures> => {
    const answer = await fetch(`http://${disk.address}/`);
    if (!answer.ok) throw new Error(await answer.text());
    // What is served is of this type.
    return (await answer.json()) as DiskFigures;
  };
  const ballast = () => statSync(join(folder, "ballast"), { throwIfNoEntry: false })?.size ?? 0;
  return { disk, said, ask, ballast };
}

test("the reserve is 64 MiB, a tenth of a small disk, or what is asked for", async () => {
  const sizes: [size: number, reserve: number | null, wanted: number][] = [
    [100 * GIB, null, 64 * MIB],
    [100 * MIB, null, 10 * MIB],
    [100 * GIB, 5 * GIB, 5 * GIB],
    [100 * GIB, 0, 0],
  ];
  for (const [size, reserve, wanted] of sizes) {
    const { ask } = await served({ reserve, measure: async () => ({ free: 7 * GIB, size }) });
    // The first time it makes its ballast.
    await ask();
    expect(await ask()).toEqual({ free: 7 * GIB, reserve: wanted });
  }
});

test("each change is said once: nearly full, full, and room again when there is clearly more", async () => {
  let free = 100 * GIB;
  const { disk, said, ask } = await served({ measure: async () => ({ free, size: 200 * GIB }) });
  const says = async (next: number): Promise<string> => {
    said.length = 0;
    free = next;
    for (let i = 0; i < 3; i++) await ask();
    expect(said.length).toBeLessThanOrEqual(1);
    return said.join("");
  };
  expect(await says(100 * GIB)).toBe("");
  expect(await says(80 * MIB)).toBe("");
  expect(disk.isShort()).toBe(false);
  expect(await says(80 * MIB - 1)).toBe(
    "The disk of /data is nearly full: 80.0 MiB are free. Writes that would leave less than 64.0 MiB are refused until there is more; reads and deletes go on.",
  );
  expect(disk.isShort()).toBe(true);
  for (const near of [60, 90, 70, 95]) expect(await says(near * MIB)).toBe("");
  expect(await says(4 * MIB - 1)).toBe(
    "The disk of /data is full: 4.0 MiB are free. Nothing is written until there is more; reads go on.",
  );
  expect(await says(0)).toBe("");
  expect(await says(74 * MIB)).toMatch(/^The disk of \/data is nearly full: 70\.0 MiB/);
  expect(await says(100 * MIB)).toBe("The disk of /data has room again: 96.0 MiB are free. Writes are taken.");
  expect(disk.isShort()).toBe(false);
});

test("a few MiB are kept, and given back on a disk that is full, for those who read; what is missing of them counts as taken", async () => {
  let free = 100 * GIB;
  const { ask, ballast } = await served({ measure: async () => ({ free, size: 200 * GIB }) });
  expect(await ask()).toEqual({ free: free - 4 * MIB, reserve: 64 * MIB });
  expect(ballast()).toBe(4 * MIB);
  free = 70 * MIB;
  await ask();
  expect(ballast(), "deletes leave it alone").toBe(4 * MIB);
  free = 4 * MIB - 1;
  await ask();
  expect(ballast()).toBe(0);
  free += 4 * MIB;
  expect(await ask()).toMatchObject({ free: 4 * MIB - 1 });
  free = 98 * MIB;
  await ask();
  expect(ballast(), "not as long as the disk is short").toBe(0);
  free = 200 * MIB;
  await ask();
  expect(ballast()).toBe(4 * MIB);
  expect(await ask()).toMatchObject({ free: 200 * MIB });
});

test.each([
  [64 * MIB, 4 * MIB],
  [16 * MIB, MIB],
  [0, 0],
  [1024 * GIB, 4 * MIB],
])("with a reserve of %i bytes they are %i", async (reserve, bytes) => {
  const { ask, ballast } = await served({ reserve, measure: async () => ({ free: 2048 * GIB, size: 4096 * GIB }) });
  await ask();
  expect(ballast()).toBe(bytes);
});

test("a start on a disk without room for it is given the ballast, and no other start is", () => {
  const folder = temporaryFolder();
  const ballast = join(folder, "ballast");
  writeFileSync(ballast, "x");
  makeRoomToStart(folder, () => MIB);
  expect(existsSync(ballast)).toBe(true);
  makeRoomToStart(folder, () => MIB - 1);
  expect(existsSync(ballast)).toBe(false);
  makeRoomToStart(folder, () => 0);
  makeRoomToStart(join(folder, "missing"), () => 0);
});

test("a disk that cannot be measured is an error to who asks, and the end of nothing", async () => {
  let broken = true;
  const measure = async () => {
    if (broken) throw new Error("ENOENT: the folder is gone");
    return { free: 1, size: GIB };
  };
  const { ask, said } = await served({ measure });
  await expect(ask()).rejects.toThrow("the folder is gone");
  broken = false;
  await ask();
  expect(said).toHaveLength(1);
});

test("a real folder's file system has a size, and no more free than that", async () => {
  const { free, size } = await measureDisk(temporaryFolder());
  expect(size).toBeGreaterThan(MIB);
  expect(free).toBeLessThanOrEqual(size);
});

test("CAIRN_DISK_RESERVE is MiB, and what is none is refused by name before anything is started", async () => {
  expect(diskReserveOf(undefined)).toBeNull();
  expect(diskReserveOf("")).toBeNull();
  expect(diskReserveOf("0")).toBe(0);
  expect(diskReserveOf("256")).toBe(256 * MIB);
  for (const text of ["1G", "-1", "1.5", "much", "1e3", " 1", "9".repeat(10)]) {
    expect(diskReserveOf(text)).toMatchObject({ code: "invalid", message: expect.stringContaining(`got "${text}"`) });
  }
  const refused = runScript("start", ["--port", "0", "--persist-to", temporaryFolder()], { CAIRN_DISK_RESERVE: "1G" });
  expect(await refused.exited).toBe(1);
  expect(refused.stderr()).toBe('CAIRN_DISK_RESERVE must be a whole number of MiB, as 256, got "1G".\n');
  const started = runScript("start", ["--json", "--port", "0", "--persist-to", temporaryFolder()], {
    CAIRN_DISK_RESERVE: "1",
  });
  await announced(started);
});
