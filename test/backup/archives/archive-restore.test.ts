/** Restoring an archive in place: wholly the old state or wholly the archive's, whatever is killed, damaged or crossed meanwhile. */
import { describe, expect, test } from "vitest";
import { sha256Hex } from "../../../src/backup/format/sha256.ts";
import { destinationFailure } from "../../../src/backup/destinations/destination.ts";
import { failure, isFailure } from "../../../src/core/errors.ts";
import { asVersion, versionOfHex } from "../../../src/core/versionstamp.ts";
import { archiveEntries, archiveFile, ARCHIVE_KEY, HEADER } from "../../support/archives.ts";
import { MemoryDestination } from "../../support/memory-destination.ts";
import { fill, good, TestArchives } from "../../support/workerd/archives.ts";
import { DyingStorage, killedAtEachTransaction } from "../../support/workerd/dying-storage.ts";
import { entryOrNull, key, point, set, text, versionOf, withStorage, write } from "../../support/workerd/engine.ts";
import { digestOf } from "../../support/workerd/restore.ts";

const everything = { maxBytes: Number.POSITIVE_INFINITY, maxEntries: 1_000_000 };
const mine = key("mine");

const stateOf = (target: TestArchives): string => JSON.stringify(digestOf(target.database.scan(null, everything)));
const put = (target: TestArchives, value: string): void => {
  versionOf(target.database.commit([write([set(mine, text(value))])])[0]);
};
const read = (target: TestArchives) => entryOrNull(target.database.read([point(mine)], 1e6))?.value;

function bytesOf(value: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (let at = 0; at < value.length; at += 700_000) controller.enqueue(value.slice(at, at + 700_000));
      controller.close();
    },
  });
}

describe("in place", () => {
  test("the state is the archive's, newer commits get higher versionstamps, and the safety archive undoes even that (Z18)", async () => {
    await withStorage(async (storage) => {
      const target = new TestArchives(storage);
      fill(target, 40, 50_000);
      put(target, "old");
      const expiring = key("expiring");
      const lasting = { expiresAt: target.clock.time + 1e9 };
      target.database.commit([write([set(expiring, text("1"), { expiresAt: target.clock.time + 100_000 })])]);
      target.database.commit([write([set(key("lasting"), text("1"), lasting)])]);
      const archive = await target.made("a", "full");
      target.database.commit([write([{ type: "delete", key: key("k", 3) }, set(key("new"), text("1"))])]);
      put(target, "new");
      const before = stateOf(target);
      const newest = target.database.lastVersion;
      target.clock.time += 100_000;
      target.database.deleteExpired(10);
      const beforeAndExpired = stateOf(target);
      expect(beforeAndExpired).not.toBe(before);

      const job = good(await target.archives.restore({ jobId: "r", id: archive.id, safetyArchive: true }));
      expect(job).toMatchObject({ kind: "archive restore", status: "running" });
      expect(await target.finish("r")).toMatchObject({ status: "completed", error: null });
      expect(read(target)).toEqual(text("old"));
      // It has expired meanwhile, and does not come back.
      expect(target.database.read([point(expiring)], 100)).toEqual([[]]);
      expect(target.database.counters().entries).toBe(42);
      expect(target.database.nextExpiry()).toBe(lasting.expiresAt);
      expect(target.adopted).toEqual([target.settings]);
      put(target, "newer");
      const entry = entryOrNull(target.database.read([point(mine)], 1e6));
      expect(entry?.version).toBeGreaterThan(newest);

      const { archives } = target.archives.list({ sort: [], page: 1, pageSize: 10, filter: { origin: "safety" } });
      expect(archives).toMatchObject([
        { status: "completed", type: "full", description: "Before archive 1 was restored" },
      ]);
      good(await target.archives.restore({ jobId: "u", id: archives[0]?.id ?? "", safetyArchive: false }));
      expect(await target.finish("u")).toMatchObject({ status: "completed" });
      expect(stateOf(target)).toBe(beforeAndExpired);
      expect(await target.working()).toBe(0);
    });
  });

  test("killed at every transaction, the state is wholly the old one, with its commits, or wholly the archive's (Z19)", async () => {
    await withStorage(async (real) => {
      const storage = new DyingStorage(real);
      const target = new TestArchives(storage, { east: new MemoryDestination() });
      fill(target, 20, 100_000);
      put(target, "archived");
      const wanted = stateOf(target);
      const archive = await target.made("make");
      good(await target.archives.restore({ jobId: "a", id: archive.id, safetyArchive: true }));
      let writes = 0;
      const killed = await killedAtEachTransaction(target, storage, ({ status }) => {
        target.clock.time += 5_000;
        if (status !== "running") return;
        expect(read(target)).toEqual(text(writes === 0 ? "archived" : String(writes)));
        writes += 1;
        put(target, String(writes));
      });
      expect(killed).toBeGreaterThan(8);
      expect(stateOf(target)).toBe(wanted);
      expect(await target.working()).toBe(0);
      const { count } = target.archives.list({ sort: [], page: 1, pageSize: 10, filter: { status: "completed" } });
      expect(count).toBe(2);
    });
  });

  test("a destination where the archive is missing, cut, swapped or altered is named, and the next one is read (Z20)", async () => {
    await withStorage(async (storage) => {
      const target = new TestArchives(storage);
      fill(target, 20, 100_000);
      const wanted = stateOf(target);
      const archive = await target.made("a");
      const { east, west } = target.places;
      if (east === undefined || west === undefined) throw new Error("two places");
      const [name = ""] = east.names;
      const whole = east.objects.get(name) ?? new Uint8Array();
      const other = (await archiveFile(archiveEntries(2_000), { key: ARCHIVE_KEY, perFrame: 100 })).bytes;
      const longer = new Uint8Array(whole.length);
      longer.set(other.subarray(0, whole.length));
      const flipped = (at: number): Uint8Array => {
        const bytes = whole.slice();
        bytes[at] = (bytes[at] ?? 0) ^ 1;
        return bytes;
      };
      const damages: [string, Uint8Array | null, string][] = [
        ["missing", null, "The bucket has no such object."],
        ["cut", whole.subarray(0, whole.length - 1), "it was cut short or replaced"],
        ["another", longer, ""],
        ["first byte", flipped(0), "is no archive of Cairn"],
        ["header", flipped(40), "The header was altered"],
        ["first chunk", flipped(400), "Chunk 0, at byte "],
        ["middle", flipped(whole.length >> 1), "was altered, or belongs to another place"],
        ["last byte", flipped(whole.length - 1), "was altered, or belongs to another place"],
      ];
      let round = 0;
      for (const [what, bytes, message] of damages) {
        // At one place: the other one has it.
        put(target, `before ${what}`);
        if (bytes === null) east.objects.delete(name);
        else east.objects.set(name, bytes);
        round += 1;
        good(await target.archives.restore({ jobId: `one${round}`, id: archive.id, safetyArchive: false }));
        expect(await target.finish(`one${round}`)).toMatchObject({ status: "completed" });
        expect([what, stateOf(target)]).toEqual([what, wanted]);
        // At both: nothing is changed, and both are named.
        const there = west.objects.get(name) ?? whole;
        if (bytes === null) west.objects.delete(name);
        else west.objects.set(name, bytes);
        put(target, `before ${what}`);
        const before = stateOf(target);
        good(await target.archives.restore({ jobId: `both${round}`, id: archive.id, safetyArchive: false }));
        const job = await target.finish(`both${round}`);
        expect([what, job.status, job.damagedObject]).toEqual([what, "failed", name]);
        expect(job.error).toMatch(/^east: .* west: /);
        expect(job.error).toContain(message);
        expect(stateOf(target)).toBe(before);
        expect(await target.working()).toBe(0);
        const restored = (): void => void west.objects.set(name, there);
        // A verification says the same.
        if (round % 3 !== 0) {
          restored();
          continue;
        }
        good(await target.archives.verify(`verify${round}`, archive.id));
        const verified = await target.finish(`verify${round}`);
        expect(verified).toMatchObject({ status: "failed", verification: { good: false, objects: 2 } });
        expect(verified.verification?.problems.length).toBe(2);
        expect(verified.error).toContain(message);
        restored();
      }
      east.objects.set(name, whole);
      good(await target.archives.verify("verify", archive.id));
      expect(await target.finish("verify")).toMatchObject({
        status: "completed",
        verification: { good: true, problems: [] },
      });
    });
  });

  test("an object that is whole and another archive's, of the same size, is refused when all of it was read (Z21)", async () => {
    await withStorage(async (storage) => {
      const target = new TestArchives(storage, { east: new MemoryDestination() });
      put(target, "1");
      const first = await target.made("a");
      put(target, "2");
      const second = await target.made("b");
      const { east } = target.places;
      const [one = "", two = ""] = east?.names ?? [];
      expect(first.size).toBe(second.size);
      east?.objects.set(one, east.objects.get(two) ?? new Uint8Array());
      good(await target.archives.restore({ jobId: "r", id: first.id, safetyArchive: false }));
      expect((await target.finish("r")).error).toContain("The file was replaced: its SHA-256 is ");
      expect(read(target)).toEqual(text("2"));
    });
  });

  test("another key is told apart from damage, a destination that is down holds the job up, and a cancelled job leaves nothing (Z22)", async () => {
    await withStorage(async (storage) => {
      const target = new TestArchives(storage, { east: new MemoryDestination() });
      fill(target, 20, 100_000);
      const archive = await target.made("a");
      const restore = (jobId: string) => target.archives.restore({ jobId, id: archive.id, safetyArchive: false });
      for (const [keys, message] of [
        [[{ ...ARCHIVE_KEY, secret: new Uint8Array(32).fill(9) }], "is another key than the one of that id"],
        [[{ ...ARCHIVE_KEY, kid: "k2" }], 'is encrypted with the key "k1", which is not among the given keys'],
        [null, 'is encrypted with the key "k1", which is not among the given keys'],
      ] as const) {
        const jobId = `keys${keys?.[0].kid}${message.length}`;
        target.keys = keys === null ? null : ([...keys] as unknown as typeof target.keys);
        target.reopen();
        good(await restore(jobId));
        expect((await target.finish(jobId)).error).toContain(message);
      }
      target.keys = [ARCHIVE_KEY];
      target.reopen();
      const { east } = target.places;
      if (east === undefined) throw new Error("east");
      let down = 3;
      east.fault = () => {
        down -= 1;
        return down > 0 ? destinationFailure("retry", "It is down.") : undefined;
      };
      good(await restore("down"));
      await target.slice();
      expect(await target.job({ command: "job", jobId: "down" })).toMatchObject({
        status: "running",
        error: "east: It is down.",
      });
      expect(await target.finish("down")).toMatchObject({ status: "completed" });
      good(await restore("cancelled"));
      expect(isFailure(await target.archives.destroy(archive.id))).toBe(true);
      await target.job({ command: "cancel", jobId: "cancelled" });
      expect(await target.working()).toBe(0);
      expect(await target.archives.destroy(archive.id)).toEqual({ ok: true });
      expect(await restore("gone")).toMatchObject({ code: "not-found" });
    });
  });

  test("a safety archive that no destination takes stops the restore before anything is changed (Z23)", async () => {
    await withStorage(async (storage) => {
      const target = new TestArchives(storage, { east: new MemoryDestination() });
      put(target, "1");
      const archive = await target.made("a");
      put(target, "2");
      const { east } = target.places;
      if (east === undefined) throw new Error("east");
      east.fault = (method) =>
        method === "put" ? destinationFailure("credentials", "It refuses the key.") : undefined;
      good(await target.archives.restore({ jobId: "r", id: archive.id, safetyArchive: true }));
      const job = await target.finish("r");
      expect(job.error).toBe(
        "The safety archive failed, so nothing was changed. No destination took the archive. east: It refuses the key.",
      );
      expect(read(target)).toEqual(text("2"));
      expect(good(target.archives.get("2"))).toMatchObject({ origin: "safety", status: "failed" });
    });
  });

  test.each(["down", "up"] as const)(
    "a safety archive that one destination has is enough: the one that is %s first does not matter (Z13)",
    async (first) => {
      await withStorage(async (storage) => {
        const [down, up] = [new MemoryDestination(), new MemoryDestination()];
        const target = new TestArchives(storage, first === "down" ? { down, up } : { up, down });
        put(target, "1");
        const archive = await target.made("a");
        put(target, "2");
        down.fault = () => destinationFailure("retry", "It is down.");
        const before = target.clock.now();
        good(await target.archives.restore({ jobId: "r", id: archive.id, safetyArchive: true }));
        expect(await target.finish("r")).toMatchObject({ status: "completed" });
        expect(target.clock.now() - before).toBeLessThan(60_000);
        expect(read(target)).toEqual(text("1"));
        const { destinations, ...safety } = good(target.archives.get("2"));
        expect(safety).toMatchObject({ origin: "safety", status: "completed" });
        expect(Object.fromEntries(destinations.map(({ name, status, error }) => [name, [status, error]]))).toEqual({
          down: ["failed", "It is down."],
          up: ["stored", null],
        });
      });
    },
  );
});

describe("a destination that is down", () => {
  test("is passed over by a restore; when all are down, the job waits for the first that is up (Z20, Z22)", async () => {
    await withStorage(async (storage) => {
      const [east, west] = [new MemoryDestination(), new MemoryDestination()];
      const target = new TestArchives(storage, { east, west });
      put(target, "1");
      const archive = await target.made("a");
      const down = () => destinationFailure("retry", "It is down.");
      const before = target.clock.now();
      const rounds = [
        [east, west],
        [west, east],
      ] as const;
      for (const [round, [one, other]] of rounds.entries()) {
        put(target, "2");
        one.fault = down;
        other.fault = () => undefined;
        good(await target.archives.restore({ jobId: `one${round}`, id: archive.id, safetyArchive: false }));
        expect(await target.finish(`one${round}`)).toMatchObject({ status: "completed" });
        expect(read(target)).toEqual(text("1"));
      }
      expect(target.clock.now() - before).toBeLessThan(10_000);
      put(target, "2");
      let tries = 0;
      east.fault = down;
      west.fault = () => ((tries += 1) < 5 ? down() : undefined);
      good(await target.archives.restore({ jobId: "both", id: archive.id, safetyArchive: false }));
      expect(await target.finish("both")).toMatchObject({ status: "completed" });
      expect(tries).toBeGreaterThanOrEqual(5);
      expect(read(target)).toEqual(text("1"));
    });
  });

  test("in the middle of a file is waited for, and left after half a minute (Z20, Z22)", async () => {
    await withStorage(async (storage) => {
      const [east, west] = [new MemoryDestination(), new MemoryDestination()];
      const target = new TestArchives(storage, { east, west });
      fill(target, 60, 150_000);
      const archive = await target.made("a");
      const state = stateOf(target);
      put(target, "2");
      let reads = 0;
      const before = target.clock.now();
      east.fault = () => ((reads += 1) > 1 ? destinationFailure("retry", "It is down.") : undefined);
      good(await target.archives.restore({ jobId: "r", id: archive.id, safetyArchive: false }));
      expect(await target.finish("r")).toMatchObject({ status: "completed" });
      expect(stateOf(target)).toBe(state);
      expect(target.clock.now() - before).toBeGreaterThan(30_000);
      expect(target.clock.now() - before).toBeLessThan(90_000);
    });
  });

  test("is named by a verification after ten minutes, which hold no other job up (Z22)", async () => {
    await withStorage(async (storage) => {
      const east = new MemoryDestination();
      const target = new TestArchives(storage, { east, west: new MemoryDestination() });
      put(target, "1");
      const archive = await target.made("a");
      east.fault = () => destinationFailure("retry", "It is down.");
      const before = target.clock.now();
      good(await target.archives.verify("v", archive.id));
      const { status, error } = await target.finish("v");
      expect([status, error]).toEqual(["failed", "east: It is down."]);
      expect(target.clock.now() - before).toBeLessThan(12 * 60_000);
    });
  });
});

describe("an upload", () => {
  test("is checked whole before it is listed as completed, and restores the state of another database (Z24)", async () => {
    const { bytes, entries } = await archiveFile(archiveEntries(3_000), { key: ARCHIVE_KEY, perFrame: 500 });
    await withStorage(async (storage) => {
      const target = new TestArchives(storage);
      put(target, "mine");
      const uploaded = good(await target.archives.upload(bytesOf(bytes), "from elsewhere"));
      expect(uploaded).toMatchObject({ status: "running", origin: "upload" });
      expect(await target.finish(uploaded.jobId ?? "")).toMatchObject({ status: "completed" });
      expect(good(target.archives.get(uploaded.id))).toMatchObject({
        status: "completed",
        checksum: sha256Hex(bytes),
        encrypted: true,
        databaseId: "0e3f7a52-5a53-4c8a-9b5e-0d6f3f2b1c4d",
        description: "from elsewhere",
      });
      expect(sha256Hex(await target.file(uploaded.id))).toBe(sha256Hex(bytes));
      good(await target.archives.restore({ jobId: "r", id: uploaded.id, safetyArchive: false }));
      expect(await target.finish("r")).toMatchObject({ status: "completed" });
      expect(stateOf(target)).toBe(JSON.stringify(digestOf(entries)));
    });
  });

  test("that is damaged, cut, not an archive, broken off or interrupted fails with the reason, and leaves nothing (Z25)", async () => {
    const { bytes } = await archiveFile(archiveEntries(3_000), { key: ARCHIVE_KEY, perFrame: 500 });
    const flipped = bytes.slice();
    flipped[5_000] = (flipped[5_000] ?? 0) ^ 1;
    await withStorage(async (storage) => {
      const target = new TestArchives(storage);
      for (const [file, message] of [
        [flipped, /^Chunk \d, at byte \d+, was altered/],
        [bytes.subarray(0, -1), /^The file was cut short/],
        [text("something else"), /an archive's header is longer|is no archive of Cairn/],
        [new Uint8Array(), /an archive's header is longer/],
      ] as const) {
        const uploaded = good(await target.archives.upload(bytesOf(file), ""));
        await target.finish(uploaded.jobId ?? "");
        const archive = good(target.archives.get(uploaded.id));
        expect(archive.status).toBe("failed");
        expect(archive.error).toMatch(message);
        expect([await target.working(), target.lying].toReversed()).toEqual([[], 0]);
      }
      const broken = new ReadableStream<Uint8Array>({
        pull(controller) {
          controller.error(new Error("gone"));
        },
      });
      expect(await target.archives.upload(broken, "")).toMatchObject({
        code: "invalid",
        message: "The upload was broken off before its end.",
      });
      // The process ends while the file is on its way.
      const endless = new ReadableStream<Uint8Array>({ pull: () => new Promise(() => undefined) });
      void target.archives.upload(endless, "");
      await Promise.resolve();
      await new Promise((resolve) => setTimeout(resolve, 1));
      const { running } = target.restore.service.jobs;
      target.reopen();
      const job = await target.finish(running?.id ?? "");
      expect(job).toMatchObject({ status: "failed", error: expect.stringContaining("Send the file again.") });
      expect([await target.working(), target.lying].toReversed()).toEqual([[], 0]);
    });
  });

  test("that was received, and whose server ends once, goes on within seconds (Z24)", async () => {
    const { bytes } = await archiveFile(archiveEntries(30), { key: ARCHIVE_KEY, perFrame: 10 });
    await withStorage(async (storage) => {
      const target = new TestArchives(storage);
      const { jobs } = target.restore.service;
      const waits = (): number => (target.restore.service.jobs.dueAt() ?? 0) - target.clock.time;
      const { id, jobId } = good(await target.archives.upload(bytesOf(bytes), ""));
      // Nothing of the job is under way.
      target.reopen();
      expect(waits()).toBeLessThanOrEqual(0);
      void jobs.slice(
        () => new Promise(() => undefined),
        () => undefined,
      );
      target.reopen();
      expect(waits()).toBeLessThanOrEqual(5_000);
      expect(good(target.archives.get(id))).toMatchObject({ status: "running", error: null });
      target.clock.time += 5_000;
      expect(await target.finish(jobId ?? "")).toMatchObject({ status: "completed", error: null });
    });
  });

  test("that was cancelled and goes on for a while leaves the next one alone (Z15, Z24)", async () => {
    const { bytes } = await archiveFile(archiveEntries(30), { key: ARCHIVE_KEY, perFrame: 10 });
    await withStorage(async (storage) => {
      const target = new TestArchives(storage);
      /** An upload whose sender sends when the test says so. */
      const begun = async () => {
        let sender: ReadableStreamDefaultController<Uint8Array> | null = null;
        const body = new ReadableStream<Uint8Array>({ start: (controller) => void (sender = controller) });
        const answer = target.archives.upload(body, "");
        await new Promise((resolve) => setTimeout(resolve, 1));
        const running = target.restore.service.jobs.running;
        if (sender === null || running === null) throw new Error("expected an upload that goes on");
        // The compiler does not see that the stream's start has run.
        return { answer, sender: sender as ReadableStreamDefaultController<Uint8Array>, jobId: running.id };
      };
      const first = await begun();
      good(await target.archives.cancel("1"));
      const second = await begun();
      first.sender.enqueue(bytes);
      expect(await first.answer).toMatchObject({ id: "1", status: "failed", error: "It was cancelled." });
      await target.slice();
      second.sender.enqueue(bytes);
      second.sender.close();
      expect(await second.answer).toMatchObject({ id: "2", status: "running" });
      expect(await target.finish(second.jobId)).toMatchObject({ status: "completed", error: null });
      expect(good(target.archives.get("2"))).toMatchObject({ status: "completed", size: bytes.length });
    });
  });
});

test("an encrypted archive of another organization of the deployment is refused, and one from elsewhere is not (Z35)", async () => {
  const { bytes } = await archiveFile(archiveEntries(30), { key: ARCHIVE_KEY, perFrame: 10 });
  const plain = await archiveFile(archiveEntries(30), { key: null, perFrame: 10 });
  await withStorage(async (storage) => {
    const target = new TestArchives(storage);
    const statusOf = async (file: Uint8Array): Promise<[string, string | null]> => {
      const uploaded = good(await target.archives.upload(bytesOf(file), ""));
      await target.finish(uploaded.jobId ?? "");
      const { status, error } = good(target.archives.get(uploaded.id));
      return [status, error];
    };
    expect(await statusOf(bytes)).toEqual(["completed", null]);
    target.tenants = [HEADER.owner];
    expect(await statusOf(bytes)).toEqual([
      "failed",
      expect.stringContaining("another organization's of this deployment"),
    ]);
    // Who has it can read it without us.
    expect(await statusOf(plain.bytes)).toEqual(["completed", null]);
  });
});

describe("a fork", () => {
  test("gets the state of another database's archive through that database, and none of its settings (Z34)", async () => {
    const { bytes, entries } = await archiveFile(archiveEntries(3_000), { key: ARCHIVE_KEY, perFrame: 500 });
    await withStorage(async (real) => {
      const storage = new DyingStorage(real);
      const target = new TestArchives(storage);
      const order = {
        jobId: "a",
        databaseId: "another",
        jurisdiction: null,
        archiveId: "12",
        size: bytes.length,
        checksum: sha256Hex(bytes),
        bytes: 100_000,
        version: asVersion(1),
      };
      let asked = 0;
      target.remote = (id, offset, length) => {
        asked += 1;
        if (asked === 1) return failure("unavailable", "The database starts.");
        return id === "12"
          ? bytes.slice(offset, offset + Math.min(length, 20_000))
          : failure("not-found", "No archive.");
      };
      const received = good(await target.archives.receive(order));
      expect(received.job).toMatchObject({ kind: "archive restore", status: "running" });
      expect(await target.archives.receive(order)).toMatchObject({ ok: true, job: { id: "a" } });
      expect(await killedAtEachTransaction(target, storage, () => void (target.clock.time += 60_000))).toBeGreaterThan(
        3,
      );
      expect(stateOf(target)).toBe(JSON.stringify(digestOf(entries)));
      expect([target.forked.at(0), target.forked.at(-1)]).toEqual(["begun", "adopted"]);
      expect([target.adopted, await target.working()]).toEqual([[], 0]);

      // Another file of the same size.
      target.remote = () => bytes.map((byte) => byte ^ 1);
      good(await target.archives.receive({ ...order, jobId: "b" }));
      expect((await target.finish("b")).error).toContain("The archive: The file is no archive of Cairn");
    });
  });

  test("of a deleted database's archive needs no checksum: killed anywhere it is whole, and any damage is found (Z39)", async () => {
    const { bytes, entries } = await archiveFile(archiveEntries(1_500), { key: ARCHIVE_KEY, perFrame: 500 });
    const archive = { databaseId: "gone", jurisdiction: null, archiveId: "ab", size: bytes.length };
    const order = { ...archive, isOrphaned: true, checksum: null, bytes: 0, version: null } as const;
    await withStorage(async (real) => {
      const storage = new DyingStorage(real);
      const target = new TestArchives(storage);
      target.remote = (_, offset, length) => bytes.slice(offset, offset + Math.min(length, 20_000));
      good(await target.archives.receive({ ...order, jobId: "a" }));
      expect(await killedAtEachTransaction(target, storage, () => void (target.clock.time += 60_000))).toBeGreaterThan(
        3,
      );
      expect(stateOf(target)).toBe(JSON.stringify(digestOf(entries)));

      const damages: [string, Uint8Array][] = [
        ["its end is missing", bytes.slice(0, bytes.length - 20)],
        ["more follows", new Uint8Array([...bytes, 0])],
        ...[40, bytes.length >> 1, bytes.length - 1].map((at): [string, Uint8Array] => [
          `byte ${at} is another`,
          bytes.map((byte, i) => (i === at ? byte ^ 1 : byte)),
        ]),
      ];
      for (const [i, [what, file]] of damages.entries()) {
        target.remote = (_, offset, length) => file.slice(offset, offset + length);
        good(await target.archives.receive({ ...order, size: file.length, jobId: `d${i}` }));
        expect([what, await target.finish(`d${i}`)]).toMatchObject([what, { status: "failed" }]);
        expect(stateOf(target)).toBe(JSON.stringify(digestOf(entries)));
      }
    });
  });

  test("is ordered with what the archive is, and only of a completed one; its bytes come from whoever has them (Z34)", async () => {
    await withStorage(async (storage) => {
      const target = new TestArchives(storage);
      fill(target, 12, 60_000);
      const archive = await target.made("a");
      const orders: object[] = [];
      const into = {
        receiveArchive: async (order: { jobId: string }) => {
          orders.push(order);
          return { ok: true as const, job: await target.job({ command: "job", jobId: "a" }) };
        },
      };
      good(await target.archives.fork("f", archive.id, into));
      expect(orders).toEqual([
        {
          jobId: "f",
          databaseId: "5f0c-a",
          jurisdiction: "eu",
          archiveId: archive.id,
          size: archive.size,
          checksum: archive.checksum,
          bytes: archive.total,
          version: versionOfHex(archive.versionstamp ?? ""),
        },
      ]);
      target.places["east"]?.objects.clear();
      const file = await target.file(archive.id);
      expect(good(await target.archives.range(archive.id, 1_000, 500))).toEqual(file.slice(1_000, 1_500));
      target.places["west"]?.objects.clear();
      expect(await target.archives.range(archive.id, 0, 10)).toMatchObject({ code: "not-found" });
      expect(await target.archives.fork("g", "99", into)).toMatchObject({ code: "not-found" });
    });
  });
});
