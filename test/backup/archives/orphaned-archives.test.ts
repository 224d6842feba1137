/** The archives of deleted databases as they are found in the deployment's own place: in any order of names, with a bounded cost. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { OrphanedArchives } from "../../../src/backup/archives/orphaned-archives.ts";
import { destinationFailure, type ListOptions } from "../../../src/backup/destinations/destination.ts";
import type { FoundPage } from "../../../src/contracts/orphaned-archives.ts";
import { MAX_LISTINGS_OF_ORPHANED_ARCHIVES } from "../../../src/core/archive-limits.ts";
import { type Failure, isFailure } from "../../../src/core/errors.ts";
import { MemoryDestination } from "../../support/memory-destination.ts";

const DATABASES = ["0a", "50", "a0", "f0"].map((start) => `${start}000000-0000-4000-8000-000000000000`);
const DELETED = new Set(DATABASES.filter((_, i) => i % 2 === 1));
const isDeleted = (id: string): boolean => DELETED.has(id);

/** Lists few names at a time, and counts how often it is asked. */
class Place extends MemoryDestination {
  listings = 0;
  readonly #most: number;

  constructor(names: readonly string[], most: number) {
    super();
    for (const name of names) this.objects.set(name, new Uint8Array(1));
    this.#most = most;
  }

  override list(namePrefix: string, options: ListOptions = {}) {
    this.listings += 1;
    return super.list(namePrefix, { ...options, limit: this.#most });
  }
}

function pageOf(found: FoundPage | Failure): FoundPage {
  if (isFailure(found)) throw new Error(found.message);
  return found;
}

const nameOf = (id: string): string => Buffer.from(id, "hex").toString();

const directories = fc.constantFrom("", "nightly/", "0/", `${DATABASES[0]}/`, "z z/!/");
const archive = (databaseId: string, number: number) =>
  `${databaseId}/archives/${String(number).padStart(8, "0")}-00000000000000${(number % 256).toString(16).padStart(2, "0")}.cairn`;
const object = fc
  .tuple(directories, fc.constantFrom(...DATABASES), fc.nat({ max: 40 }), fc.nat({ max: 5 }))
  .map(([directory, databaseId, number, kind]) => {
    const generation = `${databaseId}/${number.toString(16).padStart(16, "a")}`;
    const below = [
      archive(databaseId, number),
      archive(databaseId, number),
      `${generation}/logs/${number}`,
      `${generation}/snapshots/${number}`,
      `${databaseId}/manifest.json`,
      `${databaseId}/archives/${number}.txt`,
    ];
    return directory + (below[kind] ?? "");
  });

test("the pages have each archive of a deleted database once, in order, whatever else lies there (Z38)", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(object, { maxLength: 60 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 4 }),
      async (names, most, limit) => {
        const place = new Place(names, most);
        const archives = new OrphanedArchives(() => place);
        const seen: string[] = [];
        let after: string | null = null;
        do {
          place.listings = 0;
          const page: FoundPage = pageOf(await archives.page(after, limit, isDeleted));
          expect(page.archives.length).toBeLessThanOrEqual(limit);
          expect(place.listings).toBeLessThanOrEqual(MAX_LISTINGS_OF_ORPHANED_ARCHIVES);
          // It goes on.
          expect(page.next === null || page.next > (after ?? "")).toBe(true);
          seen.push(...page.archives.map(({ id }) => nameOf(id)));
          after = page.next;
        } while (after !== null);
        const wanted = names.filter(
          (name) => name.endsWith(".cairn") && [...DELETED].some((id) => name.includes(`${id}/archives/`)),
        );
        expect(seen).toEqual(wanted.toSorted());
      },
    ),
  );
});

test("a long backup, and the archives of a database that is there, cost a listing each (Z38)", async () => {
  const [alive = "", gone = ""] = DATABASES;
  const names = [
    ...Array.from({ length: 500 }, (_, i) => archive(alive, i)),
    ...Array.from({ length: 500 }, (_, i) => `${gone}/0000000000000001/logs/${String(i).padStart(8, "0")}`),
    archive(gone, 1),
  ];
  const place = new Place(names, 10);
  const page = pageOf(await new OrphanedArchives(() => place).page(null, 20, isDeleted));
  expect([page.archives.map(({ id }) => nameOf(id)), page.next]).toEqual([[archive(gone, 1)], null]);
  expect(place.listings).toBe(3);
});

test("one is read in ranges for a database that restores it, and a file that was replaced is named (Z39)", async () => {
  const name = archive(DATABASES[1] ?? "", 1);
  const place = new Place([], 10);
  place.objects.set(name, Uint8Array.of(0, 1, 2, 3, 4));
  const archives = new OrphanedArchives(() => place);
  const id = Buffer.from(name).toString("hex");
  expect(await archives.range(id, 5, { offset: 1, length: 3 })).toEqual(Uint8Array.of(1, 2, 3));
  expect(await archives.range(id, 6, { offset: 1, length: 3 })).toMatchObject({
    code: "not-found",
    message: expect.stringContaining("it was replaced"),
  });
  place.fault = () => destinationFailure("retry", "The destination is out of service.");
  expect(await archives.range(id, 5, { offset: 0, length: 1 })).toMatchObject({ code: "unavailable" });
  place.fault = () => undefined;
  place.objects.clear();
  expect(await archives.range(id, 5, { offset: 0, length: 1 })).toMatchObject({ code: "not-found" });
});

test("a deployment without a place of its own has none, and one that does not answer is an error that says so", async () => {
  expect(await new OrphanedArchives(() => null).page(null, 20, isDeleted)).toEqual({
    ok: true,
    archives: [],
    next: null,
  });
  const place = new Place([archive(DATABASES[1] ?? "", 1)], 10);
  const archives = new OrphanedArchives(() => place);
  const { archives: found } = pageOf(await archives.page(null, 20, isDeleted));
  place.fault = () => destinationFailure("retry", "The destination is out of service.");
  const refused = { ok: false, code: "unavailable", message: expect.stringContaining("out of service") };
  expect(await archives.page(null, 20, isDeleted)).toMatchObject(refused);
  expect(await archives.destroy(found[0]?.id ?? "", isDeleted)).toMatchObject(refused);
  expect(place.names).toHaveLength(1);
});
