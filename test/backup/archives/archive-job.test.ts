/** Making an archive: one consistent state while writes go on, at every destination, whatever is killed meanwhile. */
import { expect, test } from "vitest";
import { DOWNLOAD_MEMORY_BYTES, MAX_PROCESS_DOWNLOAD_BYTES } from "../../../src/core/archive-limits.ts";
import { HeldTimers } from "../../support/held-timers.ts";
import { extractArchive, verifyArchive } from "../../../src/client/archive.ts";
import { destinationFailure } from "../../../src/backup/destinations/destination.ts";
import { sha256Hex } from "../../../src/backup/format/sha256.ts";
import { isFailure } from "../../../src/core/errors.ts";
import { exactLineOf } from "../../../src/codec/json-notation/entry-line.ts";
import type { StoredEntry } from "../../../src/core/operations.ts";
import { versionstampHex } from "../../../src/core/versionstamp.ts";
import { MemoryDestination } from "../../support/memory-destination.ts";
import { fill, good, KEYS_TEXT, TestArchives } from "../../support/workerd/archives.ts";
import { DyingStorage, killedAtEachTransaction } from "../../support/workerd/dying-storage.ts";
import { key, set, text, withStorage, write } from "../../support/workerd/engine.ts";

const everything = { maxBytes: Number.POSITIVE_INFINITY, maxEntries: 1_000_000 };

/** A hash of each line: a difference between long lines would not be readable. */
const linesOf = (entries: readonly StoredEntry[]): string[] =>
  entries.map((entry) => sha256Hex(text(exactLineOf(entry, { plain: false }, "").text)));

async function linesIn(file: Uint8Array): Promise<string[]> {
  let all = "";
  for await (const piece of extractArchive([file], { keys: KEYS_TEXT })) all += piece;
  return all
    .trimEnd()
    .split("\n")
    .map((line) => sha256Hex(text(line.replace(/,"export":\{.*?\}\}$/, "}"))));
}

test("an archive holds everything up to its versionstamp and nothing of later commits, which go on meanwhile (Z10)", async () => {
  await withStorage(async (storage) => {
    const target = new TestArchives(storage);
    fill(target, 60, 20_000);
    const wanted = linesOf(target.database.scan(null, everything));
    const created = await target.create("a");
    expect(created).toMatchObject({ id: "1", status: "running", origin: "request", encrypted: true, checksum: null });
    let round = 0;
    const job = await target.finish("a", () => {
      round += 1;
      // Keys that were read, keys that were not, new ones and ones that go.
      for (const i of [1, 30, 59, 100]) {
        target.database.commit([
          write([set(key("k", i), text(String(round))), { type: "delete", key: key("k", i - 1) }]),
        ]);
      }
    });
    expect(job).toMatchObject({ status: "completed", kind: "archive" });
    const archive = good(target.archives.get("1"));
    const file = await target.file("1");
    expect(await linesIn(file)).toEqual(wanted);
    expect(archive).toMatchObject({
      status: "completed",
      progress: 100,
      size: file.length,
      checksum: sha256Hex(file),
      error: null,
      destinations: [
        { name: "east", status: "stored", error: null },
        { name: "west", status: "stored", error: null },
      ],
    });
    const verified = await verifyArchive([file], { keys: KEYS_TEXT });
    expect(verified).toMatchObject({ versionstamp: archive.versionstamp, entries: 60, type: "database" });
    expect(await target.working()).toBe(0);
    expect(target.lying.length).toBe(2);
    expect(target.ended.map(({ id, status }) => [id, status])).toEqual([["1", "completed"]]);
  });
});

test("small entries, of which some have expired, fill the chunks of an archive and no more (Z10)", async () => {
  await withStorage(async (storage) => {
    const target = new TestArchives(storage);
    const { database, clock } = target;
    const expiresAt = clock.time + 1_000;
    for (let batch = 0; batch < 12; batch += 1) {
      const sets = Array.from({ length: 900 }, (_, i) => set(key("small", batch, i), text("v")));
      database.commit([write([...sets, set(key("small", batch, "short"), text("v"), { expiresAt })])]);
    }
    clock.time += 2_000;
    const wanted = database.scan(null, everything).filter((entry) => entry.expiresAt === null);
    await target.made("a");
    expect(good(target.archives.get("1"))).toMatchObject({ status: "completed", error: null });
    expect(await linesIn(await target.file("1"))).toEqual(linesOf(wanted));
  });
});

test("killed at every transaction, the job goes on, and the archive is the same state; nothing else is left behind (Z11)", async () => {
  await withStorage(async (real) => {
    const storage = new DyingStorage(real);
    const target = new TestArchives(storage);
    fill(target, 22, 300_000);
    let wanted = linesOf(target.database.scan(null, everything));
    await target.create("a", "full");
    let writes = 0;
    const killed = await killedAtEachTransaction(target, storage, () => {
      writes += 1;
      target.database.commit([write([set(key("k", writes % 22), text(String(writes)))])]);
      target.clock.time += 5_000;
      // Until the state is frozen, a killed job has not begun.
      const isFrozen = target.database.frozen.version !== null || good(target.archives.get("1")).versionstamp !== null;
      if (!isFrozen) wanted = linesOf(target.database.scan(null, everything));
    });
    expect(killed).toBeGreaterThan(8);
    const archive = good(target.archives.get("1"));
    expect(archive.status).toBe("completed");
    const file = await target.file("1");
    expect(file.length).toBeGreaterThan(5 * 1024 * 1024);
    expect(await linesIn(file)).toEqual(wanted);
    expect(sha256Hex(file)).toBe(archive.checksum);
    expect(await verifyArchive([file], { keys: KEYS_TEXT })).toMatchObject({
      type: "full",
      settings: { schedule: null },
    });
    expect(target.lying).toEqual(
      ["east", "west"].map((name) => expect.stringContaining(`${name}: 5f0c-a/archives/00000001-`)),
    );
    expect(await target.working()).toBe(0);
  });
});

test("killed at every request to a destination, no upload and no half-made object is left (Z12)", async () => {
  await withStorage(async (storage) => {
    const target = new TestArchives(storage, { east: new MemoryDestination() });
    fill(target, 18, 300_000);
    const { east } = target.places;
    if (east === undefined) throw new Error("east");
    let left = 0;
    for (let at = 1; ; at++) {
      const { id } = await target.create(`job${at}`);
      let until = at;
      let killed = false;
      // The request is carried out, and the process dies before its answer.
      east.fault = () => {
        until -= 1;
        if (until !== -1) return undefined;
        killed = true;
        throw new Error("killed");
      };
      for (let i = 0; i < 200; i++) {
        await target.slice().catch(() => target.reopen());
        target.clock.time += 5_000;
        if (good(target.archives.get(id)).status !== "running") break;
      }
      east.fault = () => undefined;
      expect(good(target.archives.get(id))).toMatchObject({ status: "completed" });
      expect(east.uploads.size).toBe(0);
      left += 1;
      expect(east.objects.size).toBe(left);
      if (!killed) break;
    }
    expect(left).toBeGreaterThan(4);
  });
});

test("a destination that is down, refuses or answers garbage is named, and the others have the archive (Z13)", async () => {
  await withStorage(async (storage) => {
    const target = new TestArchives(storage);
    fill(target, 3, 1_000);
    const { east, west } = target.places;
    if (east === undefined || west === undefined) throw new Error("two places");
    for (const [failureClass, message, after] of [
      ["retry", "It is down.", 0],
      ["retry", "It is down.", 1],
      ["credentials", "It refuses the key.", 0],
      ["gone", "There is no such bucket.", 1],
      // In the middle of an upload in parts.
      ["bad", "It speaks another language.", 3],
    ] as const) {
      if (after === 3) fill(target, 18, 300_000);
      let requests = 0;
      east.fault = () => {
        requests += 1;
        return requests > after ? destinationFailure(failureClass, message) : undefined;
      };
      const { id } = await target.create(`${failureClass}${after}`);
      await target.finish(`${failureClass}${after}`, () => void (target.clock.time += 60_000));
      expect(good(target.archives.get(id))).toMatchObject({
        status: "completed",
        destinations: [
          { name: "east", status: "failed", error: message },
          { name: "west", status: "stored" },
        ],
      });
      east.fault = () => undefined;
      await target.tidy();
      expect([east.objects.size, east.uploads.size]).toEqual([0, 0]);
      expect(await verifyArchive([await target.file(id)], { keys: KEYS_TEXT })).toMatchObject({
        entries: after === 3 ? 18 : 3,
      });
    }
    // Both: the archive fails, and says why for each.
    for (const place of [east, west]) place.fault = () => destinationFailure("credentials", "It refuses the key.");
    const failed = await target.made("both");
    expect(failed).toMatchObject({
      status: "failed",
      error: "No destination took the archive. east: It refuses the key. west: It refuses the key.",
    });
    expect(target.ended.at(-1)).toMatchObject({ id: failed.id, status: "failed" });
    expect(await target.working()).toBe(0);
  });
});

test("an object that is not what was sent is found when it is read back, and removed (Z14)", async () => {
  await withStorage(async (storage) => {
    const target = new TestArchives(storage);
    fill(target, 3, 1_000);
    const { east } = target.places;
    if (east === undefined) throw new Error("east");
    east.fault = (method, name) => {
      const object = east.objects.get(name);
      if (method === "get" && object !== undefined) object[100] = (object[100] ?? 0) ^ 1;
      return undefined;
    };
    const archive = await target.made("a");
    expect(archive.destinations[0]).toMatchObject({
      status: "failed",
      error: "What was read back from there is not what was sent.",
    });
    await target.tidy();
    expect(target.lying.length).toBe(1);
  });
});

test("cancelled after any slice, nothing of it is left, and another one may begin (Z15)", async () => {
  await withStorage(async (storage) => {
    const target = new TestArchives(storage);
    fill(target, 18, 300_000);
    for (let slices = 0; slices < 3; slices++) {
      const { id } = await target.create(`job${slices}`);
      for (let i = 0; i < slices; i++) await target.slice();
      if (good(target.archives.get(id)).status !== "running") break;
      expect(
        await target.archives.create({ jobId: "other", type: "full", description: "", origin: "request" }),
      ).toMatchObject({
        code: "conflict",
        message: expect.stringContaining(`The job job${slices} (archive) is running`),
      });
      const cancelled = slices % 2 === 0 ? await target.archives.cancel(id) : undefined;
      if (cancelled === undefined) await target.job({ command: "cancel", jobId: `job${slices}` });
      expect(good(target.archives.get(id))).toMatchObject({ status: "failed", error: "It was cancelled." });
      await target.tidy();
      expect([await target.working(), target.lying].toReversed()).toEqual([[], 0]);
      expect(await target.archives.cancel(id)).toMatchObject({ code: "conflict" });
    }
  });
});

test("a download is the file, or any range of it, from whichever destination still has it (Z16)", async () => {
  await withStorage(async (storage) => {
    const target = new TestArchives(storage);
    fill(target, 15, 300_000);
    const { id, size, checksum } = await target.made("a");
    const { east, west } = target.places;
    const file = await target.file(id);
    expect(sha256Hex(file)).toBe(checksum);
    east?.objects.clear();
    for (const [first, last] of [
      [0, 0],
      [4_100_000, 4_300_000],
      [(size ?? 0) - 1, (size ?? 0) - 1],
    ] as const) {
      const pieces: number[] = [];
      for await (const piece of good(await target.archives.download(id, { first, last })).body)
        for (const byte of piece) pieces.push(byte);
      expect(pieces.length).toBe(last - first + 1);
      expect(pieces[0]).toBe(file[first]);
      expect(pieces.at(-1)).toBe(file[last]);
    }
    expect(await target.archives.download(id, { first: 0, last: size ?? 0 })).toMatchObject({ code: "limit" });
    west?.objects.clear();
    const nowhere = await target.archives.download(id, null);
    expect(isFailure(nowhere) ? nowhere.message : "").toContain("cannot be read anywhere. east: ");
  });
});

test("downloads that nobody reads take a bounded part of the memory, and end (Z16)", async () => {
  await withStorage(async (storage) => {
    const target = new TestArchives(storage);
    const timers = new HeldTimers();
    fill(target, 3, 100);
    const { id } = await target.made("a");
    target.timers = timers;
    target.reopen();
    const most = MAX_PROCESS_DOWNLOAD_BYTES / 2 / DOWNLOAD_MEMORY_BYTES;
    const unread: ReadableStream<Uint8Array>[] = [];
    for (let i = 0; i < most; i += 1) unread.push(good(await target.archives.download(id, null)).body);
    const tooMany = async () => expect(await target.archives.download(id, null)).toMatchObject({ code: "unavailable" });
    await tooMany();
    // One that was read to its end, and one that was given up, give their parts back.
    for await (const piece of unread.pop() ?? []) expect(piece.length).toBeGreaterThan(0);
    await unread.pop()?.cancel();
    for (let i = 0; i < 2; i += 1) unread.push(good(await target.archives.download(id, null)).body);
    await tooMany();
    expect(target.downloadMemory.hasRoom("another", DOWNLOAD_MEMORY_BYTES)).toBe(true);
    timers.run();
    await expect(unread[0]?.getReader().read()).rejects.toThrow("was not read in time");
    // There is room for so much only where nobody holds anything.
    const isFree = () => target.downloadMemory.hasRoom("another", MAX_PROCESS_DOWNLOAD_BYTES);
    expect(isFree()).toBe(true);
    await target.file(id);
    expect(isFree()).toBe(true);
  });
});

test("a list is sorted, filtered and paged; an id is never used again; destroy removes the archive everywhere or says where it stays (Z17)", async () => {
  await withStorage(async (storage) => {
    const target = new TestArchives(storage);
    fill(target, 3, 100);
    for (const id of ["a", "b", "c"]) await target.made(id, id === "b" ? "full" : "database");
    const list = (query: Partial<Parameters<typeof target.archives.list>[0]>) => {
      const { archives, count } = target.archives.list({ sort: [], page: 1, pageSize: 2, filter: {}, ...query });
      return [archives.map(({ id }) => id), count];
    };
    expect(list({})).toEqual([["3", "2"], 3]);
    expect(list({ page: 2 })).toEqual([["1"], 3]);
    expect(
      list({
        sort: [
          { by: "type", descending: false },
          { by: "createdAt", descending: false },
        ],
      }),
    ).toEqual([["1", "3"], 3]);
    expect(list({ filter: { type: "full" } })).toEqual([["2"], 1]);
    const { east } = target.places;
    if (east === undefined) throw new Error("east");
    east.fault = (method) => (method === "delete" ? destinationFailure("retry", "It is down.") : undefined);
    expect(await target.archives.destroy("3")).toMatchObject({
      code: "unavailable",
      message: expect.stringContaining('at "east", and stays in the list: It is down.'),
    });
    expect(good(target.archives.get("3")).destinations).toMatchObject([{ name: "east", error: "It is down." }]);
    east.fault = () => undefined;
    expect(await target.archives.destroy("3")).toEqual({ ok: true });
    expect(target.archives.get("3")).toMatchObject({ code: "not-found" });
    expect(await target.archives.destroy("3")).toMatchObject({ code: "not-found" });
    expect(target.lying.length).toBe(4);
    expect((await target.made("d")).id).toBe("4");
    expect(target.archives.get("1e0")).toMatchObject({ code: "not-found" });
  });
});

test("killed while it is destroyed, an archive is seen no more, and goes from every destination (Z12, Z17)", async () => {
  await withStorage(async (storage) => {
    const target = new TestArchives(storage);
    fill(target, 3, 100);
    const { east, west } = target.places;
    for (const place of [east, west]) {
      const { id } = await target.made(`at ${String(place === west)}`);
      let isGone = false;
      if (place === undefined) throw new Error("a place");
      place.fault = (method, name) => {
        if (method !== "delete") return undefined;
        isGone = place.objects.delete(name);
        throw new Error("killed");
      };
      await expect(target.archives.destroy(id)).rejects.toThrow("killed");
      target.reopen();
      place.fault = () => undefined;
      expect(isGone).toBe(true);
      expect(target.archives.get(id)).toMatchObject({ code: "not-found" });
      expect(await target.archives.download(id, null)).toMatchObject({ code: "not-found" });
      const none = { archives: [], count: 0 };
      expect(target.archives.list({ sort: [], page: 1, pageSize: 9, filter: {} })).toEqual(none);
      // A destination that is down meanwhile is asked again.
      for (const one of [east, west]) if (one) one.fault = () => destinationFailure("retry", "It is down.");
      target.clock.time += 30_000;
      await target.tidy();
      expect(target.lying.length).toBe(place === east ? 1 : 0);
      for (const one of [east, west]) if (one) one.fault = () => undefined;
      target.clock.time += 30_000;
      await target.tidy();
      expect(target.lying).toEqual([]);
      expect(target.archives.task.dueAt()).toBeNull();
      expect(storage.sql.exec("SELECT 1 FROM archives").toArray()).toEqual([]);
    }
  });
});

test("while an archive is being sent somewhere, that is said; what a cancelled one has left is removed on demand (Z12)", async () => {
  await withStorage(async (storage) => {
    const target = new TestArchives(storage);
    const { east } = target.places;
    if (east === undefined) throw new Error("east");
    fill(target, 18, 300_000);
    const waits = { code: "conflict", message: expect.stringContaining("job a (archive) is sending") };
    const { id } = await target.create("a");
    expect(target.archives.busyAt("east")).toMatchObject(waits);
    east.fault = (method) =>
      method === "put" && east.uploads.size > 0 ? destinationFailure("retry", "It is down.") : undefined;
    for (let i = 0; east.uploads.size === 0 && i < 50; i++) await target.slice();
    expect([east.uploads.size, target.archives.busyAt("east")]).toMatchObject([1, waits]);
    expect(target.archives.busyAt("nowhere")).toBeNull();
    good(await target.archives.cancel(id));
    expect(target.archives.busyAt("east")).toBeNull();
    await target.archives.tidyAt("east");
    expect(east.uploads.size).toBe(0);
  });
});

test("an archive of an empty database is whole, and its versionstamp is that of the moment", async () => {
  await withStorage(async (storage) => {
    const target = new TestArchives(storage);
    const archive = await target.made("a");
    expect(await verifyArchive([await target.file(archive.id)], { keys: KEYS_TEXT })).toMatchObject({
      entries: 0,
      bytes: 0,
    });
    expect(archive.versionstamp).toBe(versionstampHex(target.database.lastVersion));
  });
});
