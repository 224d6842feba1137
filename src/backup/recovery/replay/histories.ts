/**
 * The histories of one database in a bucket, found from the bucket alone. Usually there is one. When a copy of the database has continued
 * by itself, there are two, which share what lies before. Each generation says which one it follows, and where it has left that one. What
 * lies in the bucket counts, also when the manifest does not name it, because a manifest may be outdated.
 */
import { failure, type Failure, isFailure } from "../../../core/errors.ts";
import { LAST_VERSION, type Version } from "../../../core/versionstamp.ts";
import { damage } from "../../format/damage.ts";
import type { ManifestGeneration, Predecessor } from "../../format/manifest.ts";
import { manifestName } from "../../format/object-names.ts";
import type { BackupBucket, ReadProblem } from "./backup-bucket.ts";
import { type Catalog, describedGeneration, divideLost, type Generation } from "./catalog.ts";
import { logObjectsAround } from "./log-index.ts";
import { type Moment, momentText, versionOfMoment } from "../../../core/moment.ts";
import { type Present, resolveAt } from "./clock-times.ts";
import type { ResolvedMoment } from "./points.ts";

export interface Histories {
  readonly ok: true;
  /** Empty when no generation can be read. The history with the newest generation comes last. */
  readonly histories: readonly Catalog[];
  /** The starts of all generations that are named or have any object, ascending. */
  readonly starts: readonly Version[];
}

/** A generation and the one that it follows. */
interface Node {
  readonly generation: Generation;
  readonly follows: Predecessor | null;
  /** The manifest names it. */
  readonly isNamed: boolean;
}

/** How many requests at a time look for generations between those of the manifest. */
const LOOKS_AT_ONCE = 4;

/** `withoutManifest`: use only the listing, because the manifest is lost or damaged. */
export async function loadHistories(
  bucket: BackupBucket,
  withoutManifest: boolean,
): Promise<Histories | ReadProblem | Failure> {
  const read = withoutManifest ? null : await bucket.manifest();
  if (read?.ok === false) return read;
  const named = read?.manifest?.generations ?? [];
  const unnamed = await startsBeside(bucket, named);
  if (!unnamed.ok) return unnamed;
  const isMissing = read !== null && read.manifest === null;
  if (unnamed.starts.length === 0 && named.length === 0 && (isMissing || withoutManifest)) {
    return failure("not-found", "There is no backup of this database at the destination, or nothing of it is left");
  }
  if (isMissing) {
    return damage(
      manifestName(bucket.databaseId),
      "is missing; without it nobody can tell whether the last objects of the backup are all there",
    );
  }
  const nodes = namedNodes(bucket, named);
  for (const start of unnamed.starts) {
    const found = await unnamedNode(bucket, start, nodes);
    if (found !== null && isFailure(found)) return found;
    if (found !== null) nodes.push(found);
  }
  const starts = [...named.map(({ start }) => start), ...unnamed.starts].toSorted((a, b) => a - b);
  const all = nodes.toSorted((a, b) => startOf(a) - startOf(b)).filter((node, _, others) => !isDiscarded(node, others));
  const ends = await endsOf(bucket, all);
  if (!ends.ok) return ends;
  return { ok: true, histories: ends.nodes.map((end) => historyOf(end, all, starts)), starts };
}

/**
 * The state that a database had at this moment. Histories that begin later say nothing about it. Where the others differ, only the
 * versionstamp of a commit decides, or a named generation: then it is the state of that generation.
 */
export async function resolveInHistories(
  bucket: BackupBucket,
  { histories, starts }: Histories,
  moment: Moment,
  generation: Version | null,
  present: Present,
): Promise<ResolvedMoment | ReadProblem | Failure> {
  if (generation !== null) {
    const found = histories.flatMap((one) => one.generations).filter(({ place }) => place.start === generation);
    // When two histories share the generation, the one that continues in it has the most of it.
    const [most] = found.toSorted((a, b) => (b.end?.heldUpTo ?? LAST_VERSION) - (a.end?.heldUpTo ?? LAST_VERSION));
    if (most === undefined) {
      return failure("not-found", "The bucket has no such generation of this database, or nothing can be read from it");
    }
    const alone: Catalog = { ok: true, generations: [most], lost: [], starts };
    return resolveAt(bucket, alone, moment, latestIn(alone), present);
  }
  const outcomes: { readonly history: Catalog; readonly resolved: ResolvedMoment | Failure }[] = [];
  for (const history of histories) {
    const resolved = await resolveAt(bucket, history, moment, latestIn(history), present);
    if (!resolved.ok && !("code" in resolved)) return resolved;
    outcomes.push({ history, resolved });
  }
  const covering = outcomes.filter(
    ({ history }) =>
      (history.generations[0]?.consistentFrom ?? LAST_VERSION) <= versionOfMoment(moment, latestIn(history)),
  );
  const [first, ...others] = covering.length > 0 ? covering : outcomes;
  if (first === undefined) {
    return failure("not-found", "This backup has no complete generation yet: there is nothing that could be restored");
  }
  if (others.every(({ resolved }) => isSame(resolved, first.resolved))) return first.resolved;
  const exact = covering
    .map(({ resolved }) => resolved)
    .filter((one) => one.ok && moment.kind === "versionstamp" && one.version === moment.version && one.isExact);
  const [named, ...alike] = exact;
  if (named !== undefined && alike.every((one) => isSame(one, named))) return named;
  return ambiguous(
    covering.map(({ history }) => history),
    moment,
  );
}

/** The newest state of a history that has ended is its last one. */
function latestIn({ generations }: Catalog): Version {
  return generations.at(-1)?.end?.heldUpTo ?? LAST_VERSION;
}

function ambiguous(histories: readonly Catalog[], moment: Moment): Failure {
  const names = histories
    .flatMap(({ generations }) => generations.slice(-1))
    .map(({ place, consistentFrom }) => `${hex(place.start)} (since ${momentText(consistentFrom)})`);
  return failure(
    "conflict",
    `The bucket holds ${histories.length} histories of this database${shownMoment(moment)}, because a copy of it has gone on by itself. Name the newest generation of the one that is wanted as "generation", or ask for a commit by its versionstamp: the newest generations are ${names.join(" and ")}`,
  );
}

function shownMoment(moment: Moment): string {
  return moment.kind === "latest" ? "" : ` at ${momentText(versionOfMoment(moment, LAST_VERSION))}`;
}

function isSame(a: ResolvedMoment | Failure, b: ResolvedMoment | Failure): boolean {
  return a.ok && b.ok && a.version === b.version && a.generation.place.start === b.generation.place.start;
}

/**
 * Existing generations that the manifest does not name. Those before the first named one are being deleted. One request for each named
 * generation, and for each other one.
 */
async function startsBeside(
  bucket: BackupBucket,
  named: readonly ManifestGeneration[],
): Promise<{ readonly ok: true; readonly starts: readonly Version[] } | ReadProblem> {
  if (named.length === 0) return bucket.generations(null);
  const starts: Version[] = [];
  for (let i = 0; i < named.length; i += LOOKS_AT_ONCE) {
    const looks = named
      .slice(i, i + LOOKS_AT_ONCE)
      .map(({ start }, j) => bucket.generations(start, named[i + j + 1]?.start ?? null));
    for (const look of await Promise.all(looks)) {
      if (!look.ok) return look;
      starts.push(...look.starts);
    }
  }
  return { ok: true, starts };
}

/**
 * The generations of the manifest that can be read. In an old manifest they do not say what they follow: then each follows the one before
 * it.
 */
function namedNodes(bucket: BackupBucket, named: readonly ManifestGeneration[]): Node[] {
  const nodes: Node[] = [];
  for (const described of named) {
    const [generation] = describedGeneration(bucket, described);
    if (generation === undefined) continue;
    const before = nodes.at(-1);
    const isOld = described.line === null && described.follows === null && before !== undefined;
    const follows = isOld ? { start: startOf(before), leftAt: null } : described.follows;
    nodes.push({ generation, follows, isNamed: true });
  }
  return nodes;
}

/** null: it cannot be read, because it is being made or deleted. */
async function unnamedNode(
  bucket: BackupBucket,
  start: Version,
  before: readonly Node[],
): Promise<Node | ReadProblem | null> {
  const place = bucket.place(start);
  const stored = await bucket.consistentFrom(place);
  if (!stored.ok) return stored;
  if (stored.consistentFrom === null) return null;
  const read = await bucket.record(place);
  if (!read.ok) return read;
  const { record } = read;
  const generation: Generation = {
    place,
    consistentFrom: stored.consistentFrom,
    end: null,
    endCause: null,
    snapshotHead: record?.snapshot?.head,
    logHead: null,
    clock: [],
  };
  const [previous] = before.filter((node) => startOf(node) < start).toSorted((a, b) => startOf(b) - startOf(a));
  const old = previous === undefined ? null : { start: startOf(previous), leftAt: null };
  return { generation, follows: record === null ? old : record.follows, isNamed: false };
}

/** The manifest names a generation that follows this one, but not this one: so this one is being deleted. */
function isDiscarded(node: Node, all: readonly Node[]): boolean {
  return !node.isNamed && all.some((one) => one.isNamed && one.follows?.start === startOf(node));
}

/**
 * The last generation of each history: one that no other follows, or one that continues behind the place where all others have left it.
 */
async function endsOf(
  bucket: BackupBucket,
  all: readonly Node[],
): Promise<{ readonly ok: true; readonly nodes: readonly Node[] } | ReadProblem> {
  const nodes: Node[] = [];
  for (const node of all) {
    const followers = all.filter(({ follows }) => follows?.start === startOf(node));
    const left = followers.map(({ follows }) => follows?.leftAt ?? null);
    if (left.includes(null)) continue;
    const last = left.length === 0 ? null : await lastCommitOf(bucket, node.generation);
    if (last !== null && !last.ok) return last;
    const leftAt = Math.max(0, ...left.map((place) => place?.lastPoint ?? 0));
    if (last === null || last.version > leftAt) nodes.push(node);
  }
  return { ok: true, nodes };
}

async function lastCommitOf(
  bucket: BackupBucket,
  { place, end, consistentFrom }: Generation,
): Promise<{ readonly ok: true; readonly version: Version } | ReadProblem> {
  if (end !== null) return { ok: true, version: end.lastPoint };
  const found = await logObjectsAround(bucket, place, LAST_VERSION);
  if (!found.ok) return found;
  return { ok: true, version: found.upTo.at(-1)?.last.version ?? consistentFrom };
}

/** The history back from its last generation, each generation as far as the history reaches in it. */
function historyOf(last: Node, all: readonly Node[], starts: readonly Version[]): Catalog {
  const generations: Generation[] = [last.generation];
  for (let node = last; node.follows !== null;) {
    const { start, leftAt } = node.follows;
    const before = all.find((one) => startOf(one) === start && start < startOf(node));
    if (before === undefined) break;
    const cause = before.generation.endCause ?? "From there on its log is that of another history of this database.";
    generations.unshift(leftAt === null ? before.generation : { ...before.generation, end: leftAt, endCause: cause });
    node = before;
  }
  return { ok: true, ...divideLost(generations), starts };
}

function startOf({ generation }: Node): Version {
  return generation.place.start;
}

function hex(start: Version): string {
  return start.toString(16).padStart(16, "0");
}
