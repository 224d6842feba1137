/** Real objects of databases in each state of their life, and their end between any two writes. */
import { env } from "cloudflare:workers";
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import type { BackupDeletionOrder } from "../../../src/contracts/backup-commands.ts";
import type { ReceiveOrder } from "../../../src/contracts/restore-commands.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import { asVersion } from "../../../src/core/versionstamp.ts";
import type { Env } from "../../../src/objects/env.ts";
import { bury } from "../../../src/objects/identity.ts";
import { type State, stateOf } from "../../../src/objects/lifecycle.ts";
import { ObjectTables } from "../../../src/objects/object-tables.ts";
import type { Stub } from "./database-object.ts";

// The plugin's environment is the deployment's.
const { DATABASES } = env as unknown as Env;

/** The deployment's own bucket, which has nothing of what the test names: a job there is over at its first look. */
const emptyBucket = { kind: "r2", prefix: "nothing/" } as const;

const version = asVersion(1_000);

export function orderFor(purpose: ReceiveOrder["purpose"], jobId = "job"): ReceiveOrder {
  const place = { databaseId: "somebodys", start: version };
  const unheard = { place, consistentFrom: version, broken: false, gaps: [], snapshotHead: null, logHead: null };
  const common = {
    jobId,
    databaseId: "somebodys",
    destination: emptyBucket,
    version,
    isExact: true,
    floor: version,
    generation: JSON.stringify(unheard),
  };
  if (purpose === "check") return { ...common, purpose, olderGenerations: [] };
  if (purpose === "past") return { ...common, purpose, asOf: asUnixMs(1), revoked: [] };
  return { ...common, purpose };
}

export const deletion: BackupDeletionOrder = {
  databaseId: "somebodys",
  id: "backup",
  destination: emptyBucket,
  secret: null,
  objects: 1,
  arrivalsUntil: asUnixMs(0),
};

export function setupFor(name: string) {
  return { organizationId: "nobody", databaseId: name, jurisdiction: null };
}

export class LivingObject {
  readonly name: string;
  stub: Stub;

  private constructor(name: string) {
    this.name = name;
    this.stub = DATABASES.getByName(name);
  }

  /** Without a job that is under way. */
  static async in(state: State): Promise<LivingObject> {
    const object = new LivingObject(crypto.randomUUID());
    await object.#become(state);
    const made = await object.state();
    if (made !== state) throw new Error(`the object is ${made}, not ${state}`);
    return object;
  }

  state(): Promise<State> {
    return runInDurableObject(this.stub, (_, { storage }) => stateOf(new ObjectTables(storage)));
  }

  tables(): Promise<string[]> {
    return runInDurableObject(this.stub, (_, { storage }) =>
      storage.sql
        .exec<{ name: string }>(
          "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\'",
        )
        .toArray()
        .map(({ name }) => name),
    );
  }

  /** What is stored, as a text to compare. */
  stored(): Promise<string> {
    return runInDurableObject(this.stub, async (_, { storage }) => {
      const tables = storage.sql
        .exec<{ name: string }>(
          "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\'",
        )
        .toArray();
      return JSON.stringify(tables.map(({ name }) => [name, storage.sql.exec(`SELECT * FROM "${name}"`).toArray()]));
    });
  }

  /**
   * Ends the object before the write of this number (from 0) that it makes from here on: what was written in the same turn is lost with
   * it. Tables that are made one after the other are one write. Returns what tells whether it ended.
   */
  async endBefore(write: number): Promise<{ readonly happened: () => boolean }> {
    let left = write;
    let ended = false;
    await runInDurableObject(this.stub, (_, state) => {
      let isMakingTables = false;
      const step = (query = ""): void => {
        const goesOn = isMakingTables && query.startsWith("CREATE");
        isMakingTables = query.startsWith("CREATE");
        if (goesOn || left-- > 0 || ended) return;
        ended = true;
        state.abort("ended by the test");
      };
      const { storage } = state;
      const { sql } = storage;
      const { exec } = sql;
      const [deleteAlarm, deleteAll, sync] = [storage.deleteAlarm, storage.deleteAll, storage.sync];
      sql.exec = ((query: string, ...values: SqlStorageValue[]) => {
        if (!/^\s*(SELECT|PRAGMA|WITH)\b/.test(query)) step(query);
        return exec.call(sql, query, ...values);
      }) as SqlStorage["exec"];
      storage.deleteAlarm = (options) => (step(), deleteAlarm.call(storage, options));
      storage.deleteAll = (options) => (step(), deleteAll.call(storage, options));
      storage.sync = () => (step(), sync.call(storage));
    });
    return { happened: () => ended };
  }

  /** The next life of an object that ended. */
  again(): void {
    this.stub = DATABASES.getByName(this.name);
  }

  async #become(state: State): Promise<void> {
    const { name, stub } = this;
    if (state === "open" || state === "restoring" || state === "wiping" || state === "deleted") {
      await stub.initialize(setupFor(name));
    }
    if (state === "restoring") await this.#received("fork");
    if (state === "check") await this.#received("check");
    if (state === "past, restoring" || state === "past") await this.#received("past");
    if (state === "deletion") await stub.deleteBackup(deletion);
    if (state === "deleted") await stub.wipe({ deleteBackups: false });
    if (state !== "past" && state !== "wiping") return;
    await runInDurableObject(stub, (_, { storage }) => {
      if (state === "past") storage.sql.exec("UPDATE mode SET mode = 'past'");
      else bury(new ObjectTables(storage));
    });
    await evictDurableObject(stub);
  }

  async #received(purpose: ReceiveOrder["purpose"]): Promise<void> {
    const jobId = `earlier ${purpose}`;
    const answer = await this.stub.receive(orderFor(purpose, jobId));
    if (!answer.ok) throw new Error(answer.message);
    await this.stub.restore({ command: "cancel", jobId });
  }
}

/** One object is ended before its first write, another before its second, and so on until one is not ended: each in its next life. */
export async function* endedBeforeEachWrite(
  make: () => Promise<LivingObject>,
  ask: (object: LivingObject) => Promise<unknown>,
): AsyncGenerator<LivingObject> {
  for (let write = 0; ; write++) {
    const object = await make();
    const { happened } = await object.endBefore(write);
    const asked = await ask(object).then(
      () => null,
      (error: unknown) => error,
    );
    if (!happened()) {
      if (asked !== null) throw asked;
      return;
    }
    object.again();
    yield object;
  }
}
