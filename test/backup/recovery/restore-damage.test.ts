/** Each object of a backup removed, cut short or with one bit flipped, one at a time: it is named, and nothing is changed. */
import { describe, expect, test } from "vitest";
import { destinationFailure } from "../../../src/backup/destinations/destination.ts";
import {
  differentialName,
  generationPrefix,
  logsPrefix,
  manifestName,
  parseLogObjectName,
} from "../../../src/backup/format/object-names.ts";
import { asVersion, type Version, versionstampHex } from "../../../src/core/versionstamp.ts";
import { type BackupWriter, writeBackup } from "../../support/backup-writer.ts";
import { MemoryDestination } from "../../support/memory-destination.ts";
import { key, set, text, withStorage, write } from "../../support/workerd/engine.ts";
import { describeModel, sideTables, TestRestore } from "../../support/workerd/restore.ts";

const databaseId = "5f0c-b";

async function written(seed: number): Promise<{ destination: MemoryDestination; writer: BackupWriter }> {
  const destination = new MemoryDestination();
  return { destination, writer: await writeBackup(destination, databaseId, seed, 40) };
}

/** What each object was, and is to be called when it is damaged. */
interface Harm {
  readonly what: string;
  readonly to: (bytes: Uint8Array, random: (below: number) => number) => Uint8Array | null;
}

const harms: Harm[] = [
  { what: "removed", to: () => null },
  { what: "cut short", to: (bytes, random) => bytes.slice(0, random(bytes.length)) },
  { what: "emptied", to: () => new Uint8Array() },
  {
    what: "changed in one bit",
    to: (bytes, random) => {
      const flipped = bytes.slice();
      const bit = random(bytes.length * 8);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      return flipped;
    },
  },
];

describe.for(harms)("an object that was $what", ({ what, to }) => {
  test("is named, and the database stays as it is (G19)", async () => {
    const { destination, writer } = await written(21);
    const newest = writer.generations.at(-1);
    if (newest === undefined) throw new Error("no generation");
    const prefix = generationPrefix(newest.place);
    const needed = destination.names.filter((name) => name.startsWith(prefix) || name === manifestName(databaseId));
    expect(needed.length).toBeGreaterThan(12);
    await withStorage(async (storage) => {
      const target = new TestRestore({ storage, destination, databaseId });
      target.database.commit([write([set(key("mine"), text("stays"))])]);
      let before = target.stored();
      for (const [index, name] of needed.entries()) {
        const whole = destination.objects.get(name) ?? new Uint8Array();
        const harmed = to(whole, (below) => writer.random(below));
        if (harmed === null) destination.objects.delete(name);
        else destination.objects.set(name, harmed);

        const said = await outcomeOf(target, `job${index}`, writer);
        const named = (sentence: string): boolean => isNamed(sentence, name, harmed === null, needed);
        const goesWell = harmed === null && writer.replaced.has(name);
        expect(said, `${what}: ${name}`).toSatisfy(goesWell ? (sentence: string) => sentence === "completed" : named);
        if (goesWell) before = describeModel(writer.history.get(writer.lastVersion));
        expect(target.stored()).toBe(before);
        expect(sideTables(storage.sql)).toEqual([]);
        destination.objects.set(name, whole);
      }
      // And with everything back in its place it goes well.
      expect(await outcomeOf(target, "last", writer)).toBe("completed");
      expect(target.stored()).toBe(describeModel(writer.history.get(writer.lastVersion)));
    });
  });
});

describe("the last commit before an object that was", () => {
  const after = (last: Version): string => versionstampHex(asVersion(last + 1));
  const seal = 35;

  /** The newest log object but one, the one behind it, and the last commit of the first. */
  function lastTwo({ generations }: BackupWriter, { names }: MemoryDestination) {
    const place = (generations.at(-1) ?? never()).place;
    const [intact = "", next = ""] = names.filter((name) => name.startsWith(logsPrefix(place))).slice(-2);
    const parsed = parseLogObjectName(place, intact);
    return { next, last: parsed.ok ? parsed.last.version : never() };
  }

  test.for([
    { what: "removed", to: () => null, at: "the moment after it is refused" },
    { what: "emptied", to: () => new Uint8Array(), at: "the moment after it is refused" },
    { what: "cut short", to: (bytes: Uint8Array) => bytes.slice(0, -1), at: "the moment after it is refused" },
    // Its hash of the object before is whole, and shows that nothing is missing in between.
    { what: "changed in its commits", to: (bytes: Uint8Array) => flipped(bytes, 9), at: "so does the moment after it" },
    {
      what: "changed in its hash of the one before",
      to: (bytes: Uint8Array) => flipped(bytes, bytes.length - seal - 1),
      at: "the moment after it is refused",
    },
  ])("$what comes back, and $at (G20)", async ({ to, at }) => {
    const { destination, writer } = await written(25);
    const { next, last } = lastTwo(writer, destination);
    const bytes = to(destination.objects.get(next) ?? new Uint8Array());
    if (bytes === null) destination.objects.delete(next);
    else destination.objects.set(next, bytes);
    await withStorage(async (storage) => {
      const target = new TestRestore({ storage, destination, databaseId });
      expect(await target.fork("exact", last)).toMatchObject({ ok: true });
      expect(await target.finish("exact")).toMatchObject({ status: "completed", version: last });
      expect(target.stored()).toBe(describeModel(writer.history.get(last)));
      const rounded = await target.fork("rounded", after(last));
      const said = rounded.ok ? ((await target.finish("rounded")).error ?? "completed") : rounded.message;
      expect(said).toContain(at.startsWith("so does") ? "completed" : next);
    });
  });

  test("listed and cannot be read comes back: objects behind the moment are fetched with those before it (G20)", async () => {
    const { destination, writer } = await written(26);
    const { next, last } = lastTwo(writer, destination);
    const gone = destinationFailure("not-found", "It was deleted just now.");
    destination.fault = (method, name) => (method === "get" && name === next ? gone : undefined);
    await withStorage(async (storage) => {
      const target = new TestRestore({ storage, destination, databaseId });
      expect(await target.fork("exact", last)).toMatchObject({ ok: true });
      expect(await target.finish("exact")).toMatchObject({ status: "completed", version: last });
    });
  });

  function flipped(bytes: Uint8Array, at: number): Uint8Array {
    return bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
  }
});

test("objects that were swapped are named (G19)", async () => {
  const { destination, writer } = await written(22);
  const newest = writer.generations.at(-1);
  const logs = destination.names.filter((name) =>
    name.startsWith(`${generationPrefix(newest?.place ?? never())}logs/`),
  );
  const [one = "", two = ""] = logs.slice(2, 4);
  const [a, b] = [destination.objects.get(one), destination.objects.get(two)];
  destination.objects.set(one, b ?? new Uint8Array());
  destination.objects.set(two, a ?? new Uint8Array());
  await withStorage(async (storage) => {
    const target = new TestRestore({ storage, destination, databaseId });
    // What it says first is where its commits begin, which is not where its name says.
    expect(await outcomeOf(target, "a", writer)).toMatch(
      new RegExp(`^failed: The object ${one} begins with [0-9a-f]{24}, and is named after [0-9a-f]{24}`),
    );
  });
});

test.for(["logs/notes.txt", "logs/my notes (1).txt", "snapshots/notes.txt", "snapshots/../é"])(
  "a name that the format does not know is named: %s (G19)",
  async (unknown) => {
    const { destination, writer } = await written(23);
    const newest = writer.generations.at(-1);
    const name = `${generationPrefix(newest?.place ?? never())}${unknown}`;
    destination.objects.set(name, text("hello"));
    await withStorage(async (storage) => {
      const target = new TestRestore({ storage, destination, databaseId });
      expect(await outcomeOf(target, "a", writer)).toContain(name);
    });
  },
);

test("without its manifest a backup is restored by the listing, when that is asked for (G11)", async () => {
  const { destination, writer } = await written(24);
  destination.objects.delete(manifestName(databaseId));
  await withStorage(async (storage) => {
    const target = new TestRestore({ storage, destination, databaseId });
    expect(await target.fork("a", writer.lastVersion, true)).toMatchObject({ ok: true });
    await target.finish("a");
    expect(target.stored()).toBe(describeModel(writer.history.get(writer.lastVersion)));
    // A generation that is not complete, or half deleted, is not one to restore from.
    const newest = writer.generations.at(-1)?.place ?? never();
    destination.objects.delete(differentialName(newest));
    const beyond = await target.fork("b", writer.lastVersion, true);
    expect(beyond).toMatchObject({ ok: true });
    const job = await target.finish("b");
    expect(job.version ?? 0).toBeLessThan(writer.lastVersion);
    expect(target.stored()).toBe(describeModel(writer.history.get(job.version ?? asVersion(0))));
  });
});

/** "completed", or what was said to be wrong. */
async function outcomeOf(target: TestRestore, jobId: string, writer: BackupWriter): Promise<string> {
  const answer = await target.fork(jobId, writer.lastVersion);
  if (!answer.ok) return `refused: ${answer.message}`;
  const job = await target.finish(jobId);
  if (job.status === "completed") return "completed";
  return `${job.status}: ${job.error}: ${job.error?.includes(job.damagedObject ?? "?") ? "" : "names another"}`;
}

/** A removed object that nothing knows the name of shows in the one that follows it. */
function isNamed(sentence: string, name: string, removed: boolean, needed: readonly string[]): boolean {
  if (sentence.includes("names another")) return false;
  if (sentence.includes(name)) return true;
  const next = needed[needed.indexOf(name) + 1];
  return removed && next !== undefined && sentence.includes(next) && sentence.includes("missing");
}

function never(): never {
  throw new Error("the writer wrote no generation");
}
