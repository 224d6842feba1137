/** Restores from a bucket whose answers are made to cost: each ends with a sentence, after a bounded number of bytes and objects. */
import { expect, test } from "vitest";
import type { Destination, ListedObject } from "../../../src/backup/destinations/destination.ts";
import {
  type GenerationPlace,
  logsPrefix,
  snapshotObjectName,
  snapshotsPrefix,
} from "../../../src/backup/format/object-names.ts";
import { MAX_DESTINATION_READ_BYTES, MAX_FOLDER_OBJECTS } from "../../../src/core/limits.ts";
import { writeBackup } from "../../support/backup-writer.ts";
import { guarded } from "../../support/guarded-destination.ts";
import { MemoryDestination } from "../../support/memory-destination.ts";
import { withStorage } from "../../support/workerd/engine.ts";
import { sideTables, TestRestore } from "../../support/workerd/restore.ts";

const databaseId = "5f0c-c";

/** A backup, and the place of its newest generation. */
async function written(): Promise<{ destination: MemoryDestination; place: GenerationPlace }> {
  const destination = new MemoryDestination();
  const { generations } = await writeBackup(destination, databaseId, 31, 40);
  const place = generations.at(-1)?.place;
  if (place === undefined) throw new Error("no generation");
  return { destination, place };
}

test("an object that a listing says is larger than any is named, and not asked for", async () => {
  const { destination, place } = await written();
  const log = destination.names.find((name) => name.startsWith(logsPrefix(place))) ?? "";
  const asked: string[] = [];
  const lying: Destination = {
    ...guarded(destination, (work) => work()),
    async list(...args: Parameters<Destination["list"]>) {
      const page = await destination.list(...args);
      const lie = (one: ListedObject): ListedObject => (one.name === log ? { ...one, size: 10_000_000_000 } : one);
      return page.ok ? { ...page, objects: page.objects.map(lie) } : page;
    },
    get(...args: Parameters<Destination["get"]>) {
      asked.push(args[0]);
      return destination.get(...args);
    },
  };
  await withStorage(async (storage) => {
    const target = new TestRestore({ storage, destination: lying, databaseId });
    expect(await target.fork("a", "latest")).toMatchObject({ ok: true });
    asked.length = 0;
    const job = await target.finish("a");
    expect(job).toMatchObject({
      status: "failed",
      damagedObject: log,
      error: `The object ${log} has 10000000000 bytes; an object of a backup has at most ${MAX_DESTINATION_READ_BYTES}`,
    });
    expect(asked).not.toContain(log);
    expect(sideTables(storage.sql)).toEqual([]);
  });
});

test("a listing without end is given up", async () => {
  const { destination, place } = await written();
  const folder = snapshotsPrefix(place);
  let sequence = 0;
  const endless: Destination = {
    ...guarded(destination, (work) => work()),
    async list(...args: Parameters<Destination["list"]>) {
      if (args[0] !== folder) return destination.list(...args);
      const objects = Array.from({ length: 1000 }, () => {
        sequence += 1;
        return { name: snapshotObjectName(place, { series: sequence, sequence }), size: 0, modified: null };
      });
      return { ok: true, objects, next: objects.at(-1)?.name ?? null };
    },
  };
  await withStorage(async (storage) => {
    const target = new TestRestore({ storage, destination: endless, databaseId });
    expect(await target.fork("a", "latest")).toMatchObject({ ok: true });
    const job = await target.finish("a");
    expect(job).toMatchObject({ status: "failed", damagedObject: folder });
    expect(job.error).toContain(`holds more than ${MAX_FOLDER_OBJECTS} objects`);
    expect(sequence).toBe(MAX_FOLDER_OBJECTS + 1000);
  });
});
