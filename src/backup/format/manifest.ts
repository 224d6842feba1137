/**
 * `manifest.json`: what a database's backup holds, so that a restore needs only the bucket. It is written now and then; newer log and
 * snapshot objects are found by listing. Times are RFC 3339 and versionstamps 20 hex digits, both readable for people. A reader uses the
 * fields of format 1 that it knows and ignores the others. It refuses another format. The text ends with its own seal, the SHA-256 of
 * everything before it. So a text in which even one digit was changed is not believed. The seal proves no more, because anybody can make
 * one: so size and number of values are limited before anything is parsed.
 */
import { asUnixMs, type UnixMs } from "../../core/clock.ts";
import type { ClockReading } from "../../core/clock-spans.ts";
import {
  MAX_BACKUP_GENERATIONS,
  MAX_CLOCK_READINGS,
  MAX_MANIFEST_BYTES,
  MAX_MANIFEST_TEXT_CHARACTERS,
  MAX_MANIFEST_VALUES,
} from "../../core/limits.ts";
import { type Version, versionOfHex, versionstampHex } from "../../core/versionstamp.ts";
import { type Damage, damage, DamageFound } from "./damage.ts";
import { type GenerationPlace, generationPrefix, manifestName } from "./object-names.ts";
import { sha256Hex } from "./sha256.ts";

const MANIFEST_FORMAT = 1;

const [COMMA, OPEN_LIST, OPEN_OBJECT] = [0x2c, 0x5b, 0x7b];

/** `ended`: nothing after its last commit will ever be in the generation, and its gap says why. What it has can still be restored. */
export type GenerationState = "snapshotting" | "complete" | "ended";

/** A commit that can be restored. */
export interface RestorePoint {
  readonly versionstamp: Version;
  readonly time: UnixMs;
}

/** The newest object of a folder: the end of its hash chain. */
export interface ChainHead {
  /** The name below the generation's prefix. */
  readonly object: string;
  /** 64 hex digits. */
  readonly sha256: string;
}

export interface FolderState {
  readonly objects: number;
  readonly bytes: number;
  /** null while there is no object. */
  readonly head: ChainHead | null;
}

/**
 * Commits that happened and are not in the backup: all above `after`, up to and including `upTo` (null: the gap is still open). The
 * generation has every commit up to `after`, which need not be the version of a commit.
 */
export interface Gap {
  readonly after: Version;
  readonly upTo: Version | null;
  /** A sentence for the owner. */
  readonly cause: string;
}

/** The generation before another one in the same history. */
export interface Predecessor {
  readonly start: Version;
  /**
   * Where this history left the predecessor, if it did before the predecessor's end: the last commit there that belongs to this history,
   * and the version up to which the database held that state. Later commits in the predecessor's log belong to another history. null:
   * both got the same commits for a while.
   */
  readonly leftAt: { readonly lastPoint: Version; readonly heldUpTo: Version } | null;
}

export interface ManifestGeneration {
  /** The version at which the generation started. Its folder is named after it. */
  readonly start: Version;
  /** The name of the history: its writers share it. null in a manifest from before histories had names. */
  readonly line: string | null;
  /** null: it is the first generation, or that is not known. */
  readonly follows: Predecessor | null;
  readonly state: GenerationState;
  /** The content of `differential`. null until it is stored. The commits after it can be restored. */
  readonly consistentFrom: Version | null;
  /** null while there is none. */
  readonly firstPoint: RestorePoint | null;
  readonly lastPoint: RestorePoint | null;
  readonly log: FolderState;
  readonly snapshot: FolderState;
  readonly gaps: readonly Gap[];
  /** What the clock showed while versions ran ahead of it, ascending by version: see docs/backup-format.md. */
  readonly clock: readonly ClockReading[];
}

export interface Manifest {
  readonly databaseId: string;
  readonly writtenAt: UnixMs;
  /** The oldest first. */
  readonly generations: readonly ManifestGeneration[];
}

/** The whole name of the folder's newest object. */
export function headName(place: GenerationPlace, head: ChainHead): string {
  return generationPrefix(place) + head.object;
}

/** The same manifest always gives the same bytes. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const json = {
    format: MANIFEST_FORMAT,
    databaseId: manifest.databaseId,
    writtenAt: timeText(manifest.writtenAt),
    generations: manifest.generations.map(generationJson),
  };
  return sealManifest(JSON.stringify(json, null, 2));
}

/** A digest that shows whether these generations are in a manifest as they were written. */
export function manifestDigest(generations: readonly ManifestGeneration[]): string {
  return sha256Hex(new TextEncoder().encode(JSON.stringify(generations.map(generationJson))));
}

function generationJson(generation: ManifestGeneration): object {
  return {
    start: versionstampHex(generation.start),
    line: generation.line,
    follows: followsJson(generation.follows),
    state: generation.state,
    consistentFrom: stampText(generation.consistentFrom),
    firstPoint: pointJson(generation.firstPoint),
    lastPoint: pointJson(generation.lastPoint),
    log: folderJson(generation.log),
    snapshot: folderJson(generation.snapshot),
    gaps: generation.gaps.map(({ after, upTo, cause }) => ({
      after: versionstampHex(after),
      upTo: stampText(upTo),
      cause,
    })),
    clock: generation.clock.map(({ version, time }) => ({
      versionstamp: versionstampHex(version),
      time: timeText(time),
    })),
  };
}

const SEAL = /,\n {2}"sha256": "([0-9a-f]{64})"\n}\n$/;

/** `json` must end with the brace of an object that has fields. */
export function sealManifest(json: string): Uint8Array {
  const content = json.replace(/\n?}\s*$/, "");
  const hash = sha256Hex(new TextEncoder().encode(content));
  return new TextEncoder().encode(`${content},\n  "sha256": "${hash}"\n}\n`);
}

export function isSealed(text: string): boolean {
  const seal = SEAL.exec(text);
  return seal !== null && sha256Hex(new TextEncoder().encode(text.slice(0, seal.index))) === seal[1];
}

export function parseManifest(
  databaseId: string,
  bytes: Uint8Array,
): { readonly ok: true; readonly manifest: Manifest } | Damage {
  const object = manifestName(databaseId);
  if (bytes.length > MAX_MANIFEST_BYTES) {
    return damage(object, `has ${bytes.length} bytes; a manifest has at most ${MAX_MANIFEST_BYTES}`);
  }
  if (boundOfValues(bytes) > MAX_MANIFEST_VALUES) {
    return damage(object, `has more than ${MAX_MANIFEST_VALUES} values, the most that a manifest has`);
  }
  let json: unknown;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    if (!isSealed(text)) return damage(object, "was altered or cut short: it does not end with the hash of its text");
    json = JSON.parse(text);
  } catch {
    return damage(object, "is not JSON");
  }
  try {
    const root = new JsonNode(json, "the manifest");
    const format = root.field("format").integer();
    if (format !== MANIFEST_FORMAT)
      return damage(object, `has format ${format}; this version reads ${MANIFEST_FORMAT}`);
    const manifest = {
      databaseId: root.field("databaseId").text(),
      writtenAt: root.field("writtenAt").time(),
      generations: root.field("generations").list(MAX_BACKUP_GENERATIONS).map(parseGeneration),
    };
    if (manifest.databaseId !== databaseId) return damage(object, "is another database's");
    for (const [i, { start }] of manifest.generations.entries()) {
      const before = manifest.generations[i - 1];
      if (before !== undefined && before.start >= start) return damage(object, "has generations out of order");
    }
    return { ok: true, manifest };
  } catch (error) {
    if (error instanceof DamageFound) return damage(object, error.message);
    throw error;
  }
}

/** An upper bound for the number of values in this JSON: each except the first follows a comma or an opening bracket. */
function boundOfValues(bytes: Uint8Array): number {
  let count = 1;
  for (const byte of bytes) if (byte === COMMA || byte === OPEN_LIST || byte === OPEN_OBJECT) count += 1;
  return count;
}

function parseGeneration(node: JsonNode): ManifestGeneration {
  const state = node.field("state").text();
  if (state !== "snapshotting" && state !== "complete" && state !== "ended") {
    throw new DamageFound(`has an unknown state in ${node.path}`);
  }
  return {
    start: node.field("start").stamp(),
    line: node.optional("line")?.orNull((line) => line.text()) ?? null,
    follows: node.optional("follows")?.orNull(parseFollows) ?? null,
    state,
    consistentFrom: node.field("consistentFrom").orNull((value) => value.stamp()),
    firstPoint: node.field("firstPoint").orNull(parsePoint),
    lastPoint: node.field("lastPoint").orNull(parsePoint),
    log: parseFolder(node.field("log")),
    snapshot: parseFolder(node.field("snapshot")),
    gaps: node
      .field("gaps")
      .list(MAX_BACKUP_GENERATIONS)
      .map((gap) => ({
        after: gap.field("after").stamp(),
        upTo: gap.field("upTo").orNull((value) => value.stamp()),
        cause: gap.field("cause").text(),
      })),
    clock: (node.optional("clock")?.list(MAX_CLOCK_READINGS) ?? []).map((reading) => ({
      version: reading.field("versionstamp").stamp(),
      time: reading.field("time").time(),
    })),
  };
}

export function parseFollows(node: JsonNode): Predecessor {
  return {
    start: node.field("start").stamp(),
    leftAt: node.field("leftAt").orNull((left) => ({
      lastPoint: left.field("lastPoint").stamp(),
      heldUpTo: left.field("heldUpTo").stamp(),
    })),
  };
}

function parsePoint(node: JsonNode): RestorePoint {
  return { versionstamp: node.field("versionstamp").stamp(), time: node.field("time").time() };
}

export function parseFolder(node: JsonNode): FolderState {
  return {
    objects: node.field("objects").integer(),
    bytes: node.field("bytes").integer(),
    head: node.field("head").orNull((head) => {
      const sha256 = head.field("sha256").text();
      if (!/^[0-9a-f]{64}$/.test(sha256)) throw new DamageFound(`has no SHA-256 in ${head.path}`);
      return { object: head.field("object").text(), sha256 };
    }),
  };
}

function pointJson(point: RestorePoint | null): unknown {
  return point === null ? null : { versionstamp: versionstampHex(point.versionstamp), time: timeText(point.time) };
}

export function followsJson(follows: Predecessor | null): unknown {
  if (follows === null) return null;
  const { start, leftAt } = follows;
  return {
    start: versionstampHex(start),
    leftAt:
      leftAt === null
        ? null
        : { lastPoint: versionstampHex(leftAt.lastPoint), heldUpTo: versionstampHex(leftAt.heldUpTo) },
  };
}

export function folderJson({ objects, bytes, head }: FolderState): object {
  return { objects, bytes, head: head === null ? null : { object: head.object, sha256: head.sha256 } };
}

function stampText(version: Version | null): string | null {
  return version === null ? null : versionstampHex(version);
}

function timeText(time: UnixMs): string {
  return new Date(time).toISOString();
}

/** A value of parsed JSON that knows its place. It throws DamageFound when the value is not what is asked for. */
export class JsonNode {
  readonly path: string;
  readonly #value: unknown;

  constructor(value: unknown, path: string) {
    this.#value = value;
    this.path = path;
  }

  field(name: string): JsonNode {
    const value = this.#value;
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) this.#wrong(`a field ${name}`);
    // The value is an object that has this field.
    return new JsonNode((value as Record<string, unknown>)[name], `${name} of ${this.path}`);
  }

  /** undefined: there is no such field, as in a manifest of an earlier version. */
  optional(name: string): JsonNode | undefined {
    const value = this.#value;
    return typeof value === "object" && value !== null && Object.hasOwn(value, name) ? this.field(name) : undefined;
  }

  list(longest: number): JsonNode[] {
    if (!Array.isArray(this.#value)) this.#wrong("a list");
    if (this.#value.length > longest) throw new DamageFound(`has more than ${longest} items in ${this.path}`);
    return this.#value.map((item, i) => new JsonNode(item, `item ${i} of ${this.path}`));
  }

  text(): string {
    if (typeof this.#value !== "string") this.#wrong("a text");
    if (this.#value.length <= MAX_MANIFEST_TEXT_CHARACTERS) return this.#value;
    throw new DamageFound(`has more than ${MAX_MANIFEST_TEXT_CHARACTERS} characters in ${this.path}`);
  }

  integer(): number {
    const value = this.#value;
    return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : this.#wrong("a count");
  }

  stamp(): Version {
    return versionOfHex(this.text()) ?? this.#wrong("a versionstamp");
  }

  time(): UnixMs {
    const text = this.text();
    const time = Date.parse(text);
    const canonical = !Number.isNaN(time) && new Date(time).toISOString() === text;
    return canonical ? asUnixMs(time) : this.#wrong("a time");
  }

  orNull<T>(parse: (node: JsonNode) => T): T | null {
    return this.#value === null ? null : parse(this);
  }

  #wrong(expected: string): never {
    throw new DamageFound(`has no ${expected.replace(/^an? /, "")} where one belongs: ${this.path}`);
  }
}
