/** Work of which only so much goes on at a time: who waits, and who is next. */
import { expect, test } from "vitest";
import { FairTurns, type Turn } from "../../src/local/fair-turns.ts";

function turnsOf(most: number) {
  const turns = new FairTurns(most);
  const begun: string[] = [];
  const enter = (key: string, name: string): Turn => turns.enter(key, () => begun.push(name));
  return { begun, enter };
}

test("so many are under way, and the next one begins when one is over", () => {
  const { begun, enter } = turnsOf(2);
  const all = ["1", "2", "3", "4"].map((name) => enter("/a", name));
  expect(begun).toEqual(["1", "2"]);
  all[1]?.over();
  all[1]?.over();
  expect(begun).toEqual(["1", "2", "3"]);
  all[0]?.over();
  expect(begun).toEqual(["1", "2", "3", "4"]);
});

test("keys take turns", () => {
  const { begun, enter } = turnsOf(1);
  const first = enter("/a", "a0");
  const turns = [first, ...["a1", "a2", "a3"].map((name) => enter("/a", name)), enter("/b", "b1"), enter("/c", "c1")];
  turns.push(enter("/b", "b2"));
  for (const name of ["a0", "a1", "b1", "c1", "a2", "b2"]) {
    expect(begun.at(-1)).toBe(name);
    turns.find((_, i) => ["a0", "a1", "a2", "a3", "b1", "c1", "b2"][i] === name)?.over();
  }
  expect(begun.at(-1)).toBe("a3");
});

test("one that is over while it waits never begins, and keeps nobody waiting", () => {
  const { begun, enter } = turnsOf(1);
  const first = enter("/a", "first");
  const gone = enter("/b", "gone");
  enter("/c", "next");
  gone.over();
  first.over();
  gone.over();
  expect(begun).toEqual(["first", "next"]);
});

test("one that is over at once makes way at once", () => {
  const turns = new FairTurns(1);
  const begun: number[] = [];
  const all: Turn[] = [];
  for (let i = 0; i < 1000; i++) {
    all.push(
      turns.enter("/a", () => {
        begun.push(i);
        all[i]?.over();
      }),
    );
  }
  all[0]?.over();
  expect(begun).toHaveLength(1000);
});

test("how many with one key wait", () => {
  const turns = new FairTurns(1);
  const all = ["/a", "/a", "/a", "/b"].map((key) => turns.enter(key, () => undefined));
  expect(["/a", "/b", "/c"].map((key) => turns.waiting(key))).toEqual([2, 1, 0]);
  all[0]?.over();
  all[2]?.over();
  expect(["/a", "/b", "/c"].map((key) => turns.waiting(key))).toEqual([0, 1, 0]);
});
