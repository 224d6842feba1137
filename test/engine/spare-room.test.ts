/** What a database knows of the room in its own file, which never becomes smaller. */
import { expect, test } from "vitest";
import { Database } from "../../src/engine/database.ts";
import { SideState } from "../../src/engine/side-state.ts";
import { key, MovableClock, remove, set, withStorage, write } from "../support/workerd/engine.ts";

const value = new Uint8Array(100_000);
const MIB = 1024 * 1024;

test("what was deleted can be written again in the same file, also after a restart; what was never there cannot", async () => {
  await withStorage(async (storage) => {
    const clock = new MovableClock();
    let database = new Database({ storage, clock });
    expect(database.spareBytes).toBe(0);
    const fill = (from: number) => {
      for (let n = from; n < from + 50; n++) database.commit([write([set(key(n), value)])]);
    };
    fill(0);
    expect(database.spareBytes).toBe(0);
    const full = storage.sql.databaseSize;
    // The next mark, which is written every few seconds of writing.
    clock.time += 6_000;
    for (let n = 0; n < 40; n++) database.commit([write([remove(key(n))])]);
    expect(full - storage.sql.databaseSize).toBeGreaterThan(3 * MIB);
    expect(database.spareBytes).toBe(full - storage.sql.databaseSize);
    database = new Database({ storage, clock });
    expect(database.spareBytes).toBe(full - storage.sql.databaseSize);
    fill(100);
    expect(database.spareBytes).toBe(0);
  });
});

test("a state that was built beside the live one leaves its room when it is dropped, and the live one its own when it is replaced", async () => {
  await withStorage(async (storage) => {
    const database = new Database({ storage, clock: new MovableClock() });
    const side = new SideState(storage, () => database.notePeak());
    const build = (tag: string) => {
      side.begin(tag);
      storage.transactionSync(() => {
        for (let n = 0; n < 50; n++) {
          side.load([{ key: key(n), value, encoding: 3, version: database.lastVersion, expiresAt: null }]);
        }
      });
    };
    build("one");
    side.drop();
    expect(database.spareBytes).toBeGreaterThan(4 * MIB);
    build("two");
    expect(database.spareBytes).toBeLessThan(MIB / 2);
    database.adopt(side, { entries: 50, floor: database.lastVersion, prefix: null }, () => undefined);
    build("three");
    database.adopt(side, { entries: 50, floor: database.lastVersion, prefix: null }, () => undefined);
    expect(database.spareBytes).toBeGreaterThan(4 * MIB);
  });
});
