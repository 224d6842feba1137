import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assertNamePrefix, encodeKeyPath, parsePrefix } from "../../../src/backup/destinations/object-name.ts";

describe("a prefix", () => {
  it.each([
    ["", ""],
    ["/", ""],
    ["a", "a/"],
    ["a/", "a/"],
    ["/a/b", "a/b/"],
    ["my backups/cairn (1)!", "my backups/cairn (1)!/"],
    ["a.b/...", "a.b/.../"],
  ])("%j becomes %j", (text, prefix) => {
    expect(parsePrefix(text)).toEqual({ ok: true, prefix });
  });

  it.each([
    "..",
    "../a",
    "a/../b",
    "./a",
    "a/.",
    "a//b",
    "a//",
    "a/%2e%2e/b",
    "%2E",
    "a\\b",
    "a\nb",
    "a?b",
    "a#b",
    "a&b",
    "é",
    "\u0000",
  ])("not %j", (text) => {
    expect(parsePrefix(text)).toMatchObject({ ok: false, code: "invalid" });
  });

  it("has a limit", () => {
    expect(parsePrefix("a".repeat(512)).ok).toBe(true);
    expect(parsePrefix("a".repeat(513))).toMatchObject({ ok: false, code: "limit" });
  });

  it("that is accepted never leads to another place in a URL, whatever characters it has", () => {
    const characters = fc.constantFrom(...Array.from(`abc019!$()*+,-./:;=@_ %~?#&\\"'<>[]^|{}é`));
    fc.assert(
      fc.property(fc.string({ unit: characters, maxLength: 30 }), (text) => {
        const parsed = parsePrefix(text);
        fc.pre(parsed.ok);
        const url = new URL(`https://host/bucket/${encodeKeyPath(parsed.prefix)}name`);
        expect(decodeURIComponent(url.pathname)).toBe(`/bucket/${parsed.prefix}name`);
        expect(url.search + url.hash).toBe("");
      }),
      { numRuns: 2000 },
    );
  });
});

it("the beginning of a name is checked as a name is", () => {
  for (const good of ["", "a/", "a/b", "a/b.", "0001_"]) assertNamePrefix(good);
  for (const wrong of ["/", "a//", "../", "a/../", "a b"]) {
    expect(() => assertNamePrefix(wrong)).toThrow("expected an object's name");
  }
});
