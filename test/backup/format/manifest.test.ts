import { describe, expect, it } from "vitest";
import { encodeManifest, type Manifest, parseManifest, sealManifest } from "../../../src/backup/format/manifest.ts";
import * as limits from "../../../src/core/limits.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import { asVersion } from "../../../src/core/versionstamp.ts";

const sha256 = "ab".repeat(32);
const manifest: Manifest = {
  databaseId: "db",
  writtenAt: asUnixMs(Date.UTC(2026, 10, 2)),
  generations: [
    {
      start: asVersion(1_800_000_000_000_000),
      line: null,
      follows: null,
      state: "ended",
      consistentFrom: asVersion(1_800_000_000_000_100),
      firstPoint: { versionstamp: asVersion(1_800_000_000_000_200), time: asUnixMs(1_800_000_000_000) },
      lastPoint: { versionstamp: asVersion(1_800_000_000_900_000), time: asUnixMs(1_800_000_000_900) },
      log: { objects: 3, bytes: 1234, head: { object: "logs/0001_x.bin", sha256 } },
      snapshot: { objects: 1, bytes: 99, head: { object: "snapshots/0001_x.bin", sha256 } },
      gaps: [
        {
          after: asVersion(1_800_000_000_900_000),
          upTo: asVersion(1_800_000_001_000_000),
          cause: "The backlog was full.",
        },
        { after: asVersion(1_800_000_002_000_000), upTo: null, cause: "The destination is away." },
      ],
      clock: [
        { version: asVersion(1_800_000_000_700_000), time: asUnixMs(1_799_999_000_000) },
        { version: asVersion(1_800_000_000_700_009), time: asUnixMs(1_799_999_060_000) },
      ],
    },
    {
      start: asVersion(1_900_000_000_000_000),
      line: "ab".repeat(16),
      follows: {
        start: asVersion(1_800_000_000_000_000),
        leftAt: { lastPoint: asVersion(1_800_000_000_900_000), heldUpTo: asVersion(1_800_000_000_950_000) },
      },
      state: "snapshotting",
      consistentFrom: null,
      firstPoint: null,
      lastPoint: null,
      log: { objects: 0, bytes: 0, head: null },
      snapshot: { objects: 0, bytes: 0, head: null },
      gaps: [],
      clock: [],
    },
  ],
};
const bytes = encodeManifest(manifest);
const json = new TextDecoder().decode(bytes);
const unsealed = json.replace(/,\n {2}"sha256": "[0-9a-f]{64}"\n}\n$/, "\n}\n");
const parse = (text: string): ReturnType<typeof parseManifest> => parseManifest("db", sealManifest(text));

/** The paths of all fields below a value. */
function paths(value: unknown, path: readonly (string | number)[] = []): (string | number)[][] {
  if (typeof value !== "object" || value === null) return [];
  const keys = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
  return keys.flatMap((key) => {
    // The key is the value's own.
    const inner = (value as Record<string | number, unknown>)[key];
    return [[...path, key], ...paths(inner, [...path, key])];
  });
}

/** The manifest with the field at the path replaced, or removed for undefined. */
function changed(path: readonly (string | number)[], value: unknown): string {
  const root: unknown = JSON.parse(unsealed);
  let node = root as Record<string | number, unknown>;
  for (const key of path.slice(0, -1)) node = node[key] as Record<string | number, unknown>;
  const last = path.at(-1) ?? "";
  if (value === undefined) delete node[last];
  else node[last] = value;
  return JSON.stringify(root);
}

const fields = paths(JSON.parse(unsealed)).filter((path) => typeof path.at(-1) === "string");

describe("a manifest", () => {
  it("comes back as it was, and is always the same bytes (B19)", () => {
    const parsed = parseManifest("db", bytes);
    expect(parsed).toEqual({ ok: true, manifest });
    expect(encodeManifest(structuredClone(manifest))).toEqual(bytes);
  });

  it("is readable by people", () => {
    expect(json).toContain('"start": "00066517289880000000"');
    expect(json).toContain('"writtenAt": "2026-11-02T00:00:00.000Z"');
  });

  it("with a field that it does not know is read", () => {
    expect(parse(changed(["comment"], "hello")).ok).toBe(true);
  });

  it("of an earlier version, which names no histories and no readings of the clock, is read", () => {
    const { generations } = manifest;
    const earlier = changed(["generations", 1, "follows"], undefined);
    const parsed = parse(
      JSON.stringify(JSON.parse(earlier), (name, value) => (["line", "clock"].includes(name) ? undefined : value)),
    );
    const without = generations.map((one) => ({ ...one, line: null, follows: null, clock: [] }));
    expect(parsed).toEqual({ ok: true, manifest: { ...manifest, generations: without } });
  });

  const needed = fields.filter((path) => !["line", "follows", "clock"].includes(String(path.at(-1))));
  it.each(needed.map((path) => [path.join("."), path] as const))("without %s is refused", (_, path) => {
    expect(parse(changed(path, undefined))).toMatchObject({ ok: false, object: "db/manifest.json" });
  });

  it.each(fields.map((path) => [path.join("."), path] as const))(
    "with something else in %s is refused (B19)",
    (_, path) => {
      for (const wrong of [-1, true, [1], { a: 1 }]) {
        expect(parse(changed(path, wrong))).toMatchObject({ ok: false, object: "db/manifest.json" });
      }
    },
  );

  it.each([
    ["no JSON", "{", "is not JSON"],
    ["no object", "[]", "is not JSON"],
    ["another format", changed(["format"], 2), "has format 2"],
    ["another database", changed(["databaseId"], "other"), "another database"],
    ["an unknown state", changed(["generations", 0, "state"], "fine"), "unknown state"],
    ["a short hash", changed(["generations", 0, "log", "head", "sha256"], "ab"), "SHA-256"],
    ["a time of its own making", changed(["writtenAt"], "yesterday"), "time"],
    ["generations out of order", changed(["generations", 1, "start"], "00066517289880000000"), "out of order"],
  ])("of %s is refused, saying so", (_, text, problem) => {
    expect(parse(text)).toHaveProperty("problem", expect.stringContaining(problem));
  });

  it("cut short anywhere, with any one bit flipped, or without its seal is refused (B18)", () => {
    for (let length = 0; length < bytes.length; length++) {
      expect(parseManifest("db", bytes.subarray(0, length))).toMatchObject({ ok: false, object: "db/manifest.json" });
    }
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(parseManifest("db", flipped)).toMatchObject({ ok: false, object: "db/manifest.json" });
    }
    expect(parseManifest("db", new TextEncoder().encode(unsealed)).ok).toBe(false);
  });

  describe("of a size that no backup has", () => {
    const generation = manifest.generations[0];
    if (generation === undefined) throw new Error("no generation");
    const ofGenerations = (count: number, causeLength: number): Manifest => ({
      ...manifest,
      generations: Array.from({ length: count }, (_, i) => ({
        ...generation,
        start: asVersion(1_800_000_000_000_000 + i),
        gaps: [{ after: generation.start, upTo: generation.start, cause: '"'.repeat(causeLength) }],
      })),
    });

    it("is never written: the most generations, with the longest texts, are within all limits", () => {
      const largest = ofGenerations(limits.MAX_BACKUP_GENERATIONS, limits.MAX_MANIFEST_TEXT_CHARACTERS);
      expect(parseManifest("db", encodeManifest(largest))).toEqual({ ok: true, manifest: largest });
    });

    it.each([
      [
        "one generation more",
        ofGenerations(limits.MAX_BACKUP_GENERATIONS + 1, 1),
        "more than 1000 items in generations",
      ],
      [
        "a text of a character more",
        ofGenerations(1, limits.MAX_MANIFEST_TEXT_CHARACTERS + 1),
        "more than 500 characters in cause",
      ],
    ])("is refused: %s", (_, tooLarge, problem) => {
      expect(parseManifest("db", encodeManifest(tooLarge))).toHaveProperty("problem", expect.stringContaining(problem));
    });

    it.each(["1", "{}", "[]", '"",{"":[', "1,[[["])("is refused before it is parsed: values like %s", (value) => {
      const values = `${value},`.repeat(limits.MAX_MANIFEST_VALUES);
      expect(parse(`{"x":[${values}1]}`)).toHaveProperty("problem", expect.stringContaining("more than 100000 values"));
    });

    it("is refused before it is parsed: a text of more bytes", () => {
      const text = " ".repeat(limits.MAX_MANIFEST_BYTES);
      expect(parse(`{"x":"${text}"}`)).toHaveProperty("problem", expect.stringMatching(/has 4\d{6} bytes; .* 4194304/));
    });
  });
});
