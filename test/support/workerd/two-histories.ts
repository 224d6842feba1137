/**
 * A database and a copy of it, both with a backup at one place, and what each of them held after each of its commits: what has to come
 * back, whatever the two do to each other.
 */
import { expect } from "vitest";
import type { BackupInfo } from "../../../src/contracts/backup-commands.ts";
import { type Version, versionstampHex } from "../../../src/core/versionstamp.ts";
import type { Destination } from "../../../src/backup/destinations/destination.ts";
import type { TestBackup } from "./backup.ts";
import { key, set, text, withStorage } from "./engine.ts";
import { describe as describeEntries, TestRestore } from "./restore.ts";

/** One of the two. Everything is done inside its object. */
export class Side {
  readonly name: string;
  readonly do: <T>(work: (tested: TestBackup) => T | Promise<T>) => Promise<T>;
  /** What it held after each commit, from the ones that it shares with the other on. */
  readonly states: Map<Version, string>;
  /** Commits that it was told are stored. */
  readonly stored = new Set<Version>();
  #count = 0;

  constructor(
    name: string,
    run: <T>(work: (tested: TestBackup) => T | Promise<T>) => Promise<T>,
    shared: ReadonlyMap<Version, string> = new Map(),
  ) {
    this.name = name;
    this.do = run;
    this.states = new Map(shared);
  }

  /** Commits one entry of its own. */
  write(): Promise<Version> {
    this.#count += 1;
    const entry = set(key(this.name, this.#count % 7), text(`${this.name} ${this.#count}`));
    return this.do((tested) => {
      const version = tested.commit(entry);
      this.states.set(version, stateOf(tested));
      return version;
    });
  }

  async pass(ms: number): Promise<void> {
    await this.do((tested) => tested.pass(ms));
    await this.#note();
  }

  async settle(): Promise<BackupInfo> {
    const info = await this.do((tested) => tested.settle());
    await this.#note();
    return info;
  }

  info(): Promise<BackupInfo> {
    return this.do((tested) => tested.info());
  }

  async #note(): Promise<void> {
    const { generations } = await this.info();
    const shipped = [...this.states.keys()].filter((version) =>
      generations.some(({ after, upTo }) => (after ?? Infinity) <= version && version <= (upTo ?? 0)),
    );
    for (const version of shipped) this.stored.add(version);
  }

  /**
   * What comes back by its own knowledge of the backup: for each commit its very state, or a refusal that tells of a gap. What it holds
   * now always comes back. Returns the commits that did not.
   */
  async missing(store: Destination): Promise<Version[]> {
    const { databaseId, manifest } = await this.do(async (tested) => ({
      databaseId: tested.databaseId,
      manifest: await tested.manifest(),
    }));
    const missing: Version[] = [];
    const now = await this.do((tested) => ({ version: tested.database.lastVersion, state: stateOf(tested) }));
    for (const [version, state] of [...this.states, [now.version, now.state] as const]) {
      const found = await withStorage(async (storage) => {
        const target = new TestRestore({ storage, destination: store, databaseId, manifest: () => manifest });
        target.database.closeNow();
        const at = versionstampHex(version);
        const answer = await target.service.run({ command: "restore", jobId: "a", at });
        if (!answer.ok) return { state: null, error: answer.message };
        const { status, error } = await target.finish("a");
        return { state: status === "completed" ? target.stored() : null, error };
      });
      if (found.state === null) {
        expect(found.error, `${this.name} at ${version}`).toMatch(/has a gap there|lies before the oldest moment/);
        missing.push(version);
      } else {
        expect(found.state, `${this.name} at ${version}`).toBe(state);
      }
    }
    expect(missing, `${this.name} as it is now`).not.toContain(now.version);
    return missing;
  }
}

export function stateOf({ database }: TestBackup): string {
  return describeEntries(database.scan(null, { maxBytes: Infinity, maxEntries: 1e9 }));
}
