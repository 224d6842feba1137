/**
 * The indexes of all tables of a database. They follow the entries in the same transaction, from whichever door a write comes, and nothing else writes
 * them: an entry of a table is a document, and an entry `["CDB:tables", appId, tableId]` is the definition of a table. The tables of the
 * indexes are made by the first definition. A database without one runs no statement for this.
 *
 * A definition that changes what is indexed begins a new build beside the live one. Small tables are built in the definition's own commit;
 * the others by `step`, which the owner calls while `hasWork`.
 */
import { compareBytes, hasBytesAt, toHex } from "../../core/bytes.ts";
import type { TableIndexState } from "../../contracts/document-commands.ts";
import { asUnixMs } from "../../core/clock.ts";
import {
  INDEXED_CHARS_PER_VALUE,
  MAX_DEFINITION_BYTES,
  MAX_DEFINITIONS_BYTES,
  MAX_DEFINITIONS_LOOKED_AT,
  MAX_INDEX_CHANGES_PER_WRITE,
  MAX_TABLES,
} from "../../core/document-limits.ts";
import { failure } from "../../core/errors.ts";
import type { Account } from "../../core/process-memory.ts";
import { hasTable } from "../../core/migrations.ts";
import type { StoredEntry } from "../../core/operations.ts";
import type { BulkStorage } from "../../core/storage.ts";
import { type KeyRange, rangeUnder } from "../../codec/key-prefix.ts";
import { CommitRefusal } from "../../engine/commit-refusal.ts";
import type { Change, DerivedTables } from "../../engine/derived-tables.ts";
import { EntryTable } from "../../engine/entry-table.ts";
import {
  decodeDefinition,
  definitionKey,
  definitionsPrefix,
  type TableDefinition,
  type TableName,
  tableOfDefinitionKey,
} from "../definition.ts";
import { changeEntry } from "./build-contents.ts";
import { IndexWork, STEP, type StepBounds } from "./index-work.ts";
import { IndexWriter } from "./index-writer.ts";
import { type Build, type Builds, newestOf, TableRegistry, type TableState } from "./registry.ts";
import { TABLES } from "./schema.ts";

const DEFINITIONS = definitionsPrefix();
const DEFINITIONS_RANGE = rangeUnder(DEFINITIONS);

const EVER = asUnixMs(-1);

export interface DocumentIndexOptions {
  readonly storage: BulkStorage;
  /** Whether the tables of the indexes are there already. */
  readonly isMade: boolean;
  /** Called after a transaction that has left work for `step`. */
  readonly onWork?: () => void;
  /** What a step does, and what a commit builds at once for the tables that it defines. */
  readonly bounds?: StepBounds;
  /** Of all builds in the process: what each gathers beyond the least. By default there is always room. */
  readonly memory?: Account;
}

const ALWAYS_ROOM: Account = { hold: () => undefined, hasRoom: () => true };

/** Everything that is known only after the tables of the indexes were read. */
interface Opened {
  readonly registry: TableRegistry;
  readonly writer: IndexWriter;
  readonly work: IndexWork;
}

export class DocumentIndex implements DerivedTables {
  readonly #storage: BulkStorage;
  readonly #entries: EntryTable;
  readonly #onWork: () => void;
  readonly #bounds: StepBounds;
  readonly #memory: Account;
  #isMade: boolean;
  /** null: not read yet. */
  #opened: Opened | null = null;
  /** Something was changed in the open transaction. */
  #isTouched = false;
  #isClosed = false;

  constructor({
    storage,
    isMade,
    onWork = () => undefined,
    bounds = STEP,
    memory = ALWAYS_ROOM,
  }: DocumentIndexOptions) {
    this.#bounds = bounds;
    this.#memory = memory;
    this.#storage = storage;
    this.#entries = new EntryTable(storage.sql, (work) => work());
    this.#isMade = isMade;
    this.#onWork = onWork;
  }

  /** The builds of a table. null: nothing defines the table, or there are too many tables. */
  table(name: TableName): TableState | null {
    return this.#known?.registry.find(name) ?? null;
  }

  /** How far the index of a table is. null: the table has none. */
  state(name: TableName): TableIndexState | null {
    const { live = null, building = null } = this.table(name) ?? {};
    const build = building ?? live;
    if (build === null) return null;
    const { done, total, skipped, leftOut } = build;
    // What a live index has is what the table has, which nobody has counted since.
    if (building === null) return { state: "live", done: null, total: null, skipped, leftOut };
    return { state: "building", done, total, skipped, leftOut };
  }

  /** Whether `step` has something to do. */
  get hasWork(): boolean {
    return !this.#isClosed && this.#known?.work.isDone === false;
  }

  /** Which build is under way, and up to where everything of it is written. null: none. */
  get settled(): string | null {
    const building = this.#known?.registry.building ?? null;
    if (building === null || this.#isClosed) return null;
    return `${building.id} ${building.settled === null ? "" : toHex(building.settled)}`;
  }

  /**
   * Does a bounded piece of work, in a transaction of its own. `mayBuild`: whether there is room for what a build adds. Returns false when
   * there was nothing to do.
   */
  async step(mayBuild = true, piece: <Result>(work: () => Result) => Result = (work) => work()): Promise<boolean> {
    if (!this.hasWork) return false;
    // Forgotten before anything else runs, and also when what was done could not be stored.
    return this.#orForget(() =>
      this.#storage.transaction(() =>
        // There may be nothing left to do: the transaction begins in a later turn.
        this.#orForget(async () => this.hasWork && piece(() => this.#open().work.step(mayBuild))),
      ),
    );
  }

  /** The database goes away. From now on there is no work. */
  close(): void {
    this.#isClosed = true;
    this.#memory.hold(0);
  }

  follows(key: Uint8Array): boolean {
    if (hasBytesAt(key, 0, DEFINITIONS)) return true;
    return this.#known !== null && this.#known.registry.tableOfKey(key) !== null;
  }

  /** Whether there may be documents. */
  get hasTables(): boolean {
    return this.#isMade;
  }

  apply(changes: readonly Change[], mayRefuse: boolean): void {
    this.#isTouched = true;
    // What is built in this commit has been built from what the commit left.
    const built = new Set<Build>();
    for (const change of changes) {
      const { key } = change.after ?? change.before;
      const name = hasBytesAt(key, 0, DEFINITIONS) ? tableOfDefinitionKey(key) : null;
      if (name !== null) this.#define(name, change.after, { ...this.#bounds }, built);
    }
    if (this.#known === null) return;
    const { registry, writer, work } = this.#known;
    const changesBefore = writer.changes;
    const toSave = new Set<Build>();
    for (const change of changes) {
      const { key } = change.after ?? change.before;
      const builds = registry.tableOfKey(key);
      for (const build of [builds?.live, builds?.building]) {
        if (build === undefined || build === null || built.has(build) || key.length === build.prefix.length) continue;
        if (build.cursor !== null && compareBytes(key, build.cursor) >= 0) continue;
        const isPartial = build.settled !== null && compareBytes(key, build.settled) >= 0;
        if (isPartial) work.noteChanged(build, key.subarray(build.prefix.length));
        if (changeEntry(this.#known, build, change, isPartial)) toSave.add(build);
        if (mayRefuse && writer.changes - changesBefore > MAX_INDEX_CHANGES_PER_WRITE)
          throw new CommitRefusal(TOO_MUCH);
      }
    }
    writer.flush();
    for (const build of toSave) registry.save(build);
  }

  replaced(range: KeyRange | null): void {
    this.#isTouched = true;
    const room = { ...this.#bounds };
    const built = new Set<Build>();
    const { registry } = this.#known ?? {};
    for (const builds of registry?.all ?? []) {
      const build = builds.live ?? builds.building;
      if (registry === undefined || build === null) continue;
      if (isWithin(build.range, range)) dropAll(registry, builds);
      else this.#define(build, this.#entries.stored(definitionKey(build)), room, built);
    }
    this.#defineAll(room, built);
  }

  kept(): void {
    if (!this.#isTouched) return;
    this.#isTouched = false;
    if (this.hasWork) this.#onWork();
  }

  undone(): void {
    if (!this.#isTouched) return;
    this.#isTouched = false;
    this.#forget();
  }

  async #orForget<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#forget();
      throw error;
    }
  }

  /** What is known in memory is read again at the next use. */
  #forget(): void {
    this.#opened = null;
    this.#memory.hold(0);
    // The tables themselves may be gone again. To look for them is cheap beside a transaction that failed.
    this.#isMade = hasTable(this.#storage.sql, TABLES);
  }

  /** null: there are no tables of indexes. */
  get #known(): Opened | null {
    return this.#isMade ? this.#open() : null;
  }

  #open(): Opened {
    if (this.#opened === null) {
      const registry = new TableRegistry(this.#storage);
      const writer = new IndexWriter(this.#storage.sql);
      const [storage, bounds, memory] = [this.#storage, this.#bounds, this.#memory];
      const work = new IndexWork({ storage, contents: { registry, writer }, bounds, memory });
      this.#opened = { registry, writer, work };
      this.#isMade = true;
    }
    return this.#opened;
  }

  /** A definition has this value now; null: it is gone. `room`: what may be built at once. Builds that begin here are added to `built`. */
  #define(name: TableName, entry: StoredEntry | null, room: Room, built: Set<Build>): void {
    const hasRoom = entry !== null && (this.#known === null || hasRoomFor(this.#known.registry, name, entry.value));
    const definition = hasRoom ? decodeDefinition(entry.value, entry.encoding) : null;
    if (definition === null || entry === null) {
      this.#undefine(name, room, built);
      return;
    }
    const { registry, work } = this.#open();
    const builds = registry.find(name);
    if (builds !== null && keep(registry, builds, definition, entry.value)) return;
    if (builds !== null && builds.building !== null) registry.drop(builds.building);
    const build = registry.begin(name, definition, entry.value);
    built.add(build);
    if (room.entries > 0) room.entries -= work.build(build, room);
  }

  #undefine(name: TableName, room: Room, built: Set<Build>): void {
    const { registry } = this.#known ?? {};
    const builds = registry?.find(name) ?? null;
    if (registry === undefined || builds === null) return;
    const wasFull =
      registry.size >= MAX_TABLES || registry.definitionBytes > MAX_DEFINITIONS_BYTES - MAX_DEFINITION_BYTES;
    dropAll(registry, builds);
    if (wasFull) this.#defineAll(room, built);
  }

  /** Begins what the stored definitions define and nothing builds. */
  #defineAll(room: Room, built: Set<Build>): void {
    const range = { ...DEFINITIONS_RANGE, limit: MAX_DEFINITIONS_LOOKED_AT, reverse: false };
    for (const definitions of this.#entries.ranges([range], EVER)) {
      for (const entry of definitions) {
        const name = tableOfDefinitionKey(entry.key);
        if (name !== null && (this.#known?.registry.find(name) ?? null) === null)
          this.#define(name, entry, room, built);
      }
    }
  }
}

const TOO_MUCH = failure(
  "limit",
  `The documents of this write change more than ${MAX_INDEX_CHANGES_PER_WRITE} values of indexes, which is the limit; ${INDEXED_CHARS_PER_VALUE} characters of a text count as one. Write fewer documents at a time, or index fewer columns.`,
);

/** Entries that may still be built at once. */
interface Room extends StepBounds {
  entries: number;
}

/** Whether a definition may be known in memory beside those of the other tables. */
function hasRoomFor(registry: TableRegistry, name: TableName, value: Uint8Array): boolean {
  const builds = registry.find(name);
  if (builds === null && registry.size >= MAX_TABLES) return false;
  const ofOthers = registry.definitionBytes - (builds === null ? 0 : (newestOf(builds)?.definitionBytes ?? 0));
  return ofOthers + value.length <= MAX_DEFINITIONS_BYTES;
}

/** Keeps what is built already for this definition. Returns whether nothing else must be built. */
function keep(
  registry: TableRegistry,
  { live, building }: Builds,
  definition: TableDefinition,
  value: Uint8Array,
): boolean {
  const kept = [building, live].find((build) => build !== null && hasSameIndex(build.definition, definition));
  if (kept === undefined || kept === null) return false;
  if (kept === live && building !== null) registry.drop(building);
  if (JSON.stringify(kept.definition) !== JSON.stringify(definition)) registry.redefine(kept, definition, value);
  return true;
}

function dropAll(registry: TableRegistry, { live, building }: Builds): void {
  if (live !== null) registry.drop(live);
  if (building !== null) registry.drop(building);
}

/** Whether the range has keys of the part. null: it has all keys. */
function isWithin(part: KeyRange, range: KeyRange | null): boolean {
  return range === null || (compareBytes(part.start, range.end) < 0 && compareBytes(range.start, part.end) < 0);
}

/** Whether the same entries are documents, and the same of them is indexed. */
function hasSameIndex(a: TableDefinition, b: TableDefinition): boolean {
  return indexOf(a) === indexOf(b);
}

function indexOf({ ids, columns }: TableDefinition): string {
  const indexed = columns?.filter((column) => column.indexed).map(({ name, type }) => JSON.stringify([name, type]));
  return JSON.stringify([ids.map(({ type }) => type), indexed?.toSorted()]);
}
