/** Every member of a class is used outside of it: neither the compiler nor knip finds those that are not. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { unusedMembers } from "./class-members.ts";

const root = join(import.meta.dirname, "../..");
const fixtures = join(import.meta.dirname, "fixtures/class-members");

const unusedByIntent = [
  // Programs that import the package read it.
  "ArchiveError.problem",
  "ArchiveError.offset",
  "KvsError.status",
];

test("every member of a class in src/ is used outside of its class, except those that are listed here", () => {
  const unused = unusedMembers(join(root, "src"), [join(root, "tsconfig.json"), join(root, "src/local/tsconfig.json")]);
  const places = unused
    .filter(({ title }) => !unusedByIntent.includes(title))
    .map(({ title, place }) => `${title} at src/${place}`);
  expect(places).toEqual([]);
  // An exception that is used by now is none.
  expect(unused.map(({ title }) => title).toSorted()).toEqual(unusedByIntent.toSorted());
});

test("exactly the members that nothing uses are found: by name, by an interface, by a type that fits", () => {
  const lines = readFileSync(join(fixtures, "src/ledger.ts"), "utf8").split("\n");
  const wanted = lines.flatMap((line, index) => (line.endsWith("// unused") ? [`ledger.ts:${index + 1}`] : []));
  expect(wanted.length).toBeGreaterThan(6);
  const unused = unusedMembers(join(fixtures, "src"), [join(fixtures, "tsconfig.json")]);
  expect(unused.map(({ place }) => place)).toEqual(wanted);
});
