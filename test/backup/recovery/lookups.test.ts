import { expect, test } from "vitest";
import { Lookups } from "../../../src/backup/recovery/lookups.ts";
import { MAX_BACKUP_LOOKUPS_AT_ONCE, MAX_BACKUP_LOOKUPS_WAITING } from "../../../src/core/limits.ts";

test("a few lookups run at once, others wait in order, and past what may wait one is refused", async () => {
  const lookups = new Lookups();
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const all = MAX_BACKUP_LOOKUPS_AT_ONCE + MAX_BACKUP_LOOKUPS_WAITING;
  const answers = Array.from({ length: all }, (_, number) =>
    lookups.run(async () => {
      begun.push(number);
      await new Promise<void>((resolve) => ends.push(resolve));
      if (number === 3) throw new Error("broken");
      return number;
    }),
  );
  const settled = Promise.allSettled(answers);
  expect(begun).toHaveLength(MAX_BACKUP_LOOKUPS_AT_ONCE);
  expect(await lookups.run(async () => 0)).toMatchObject({ code: "unavailable" });
  for (let number = 0; number < all; number++) {
    ends[number]?.();
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(begun).toHaveLength(Math.min(all, number + 1 + MAX_BACKUP_LOOKUPS_AT_ONCE));
  }
  expect(begun).toEqual(Array.from({ length: all }, (_, number) => number));
  const outcomes = await settled;
  expect(outcomes[3]).toMatchObject({ status: "rejected" });
  expect(outcomes[4]).toEqual({ status: "fulfilled", value: 4 });
  expect(await lookups.run(async () => "free again")).toBe("free again");
});
