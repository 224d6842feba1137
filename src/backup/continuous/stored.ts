/** What the bucket has of this database, as far as is known here. The tables must exist. */
import type { Version } from "../../core/versionstamp.ts";
import type { Generation } from "./generation-row.ts";
import type { Generations } from "./generations.ts";

export class Stored {
  readonly #generations: Generations;

  constructor(generations: Generations) {
    this.#generations = generations;
  }

  /** Whether every commit up to and including this one is stored, in a generation that is or was complete. */
  hasShipped(version: Version): boolean {
    return this.#generations.all().some((one) => this.#hasAllUpTo(one, version));
  }

  /** The last commit that is stored in the present generation. null: there is none, or it is not complete yet. */
  upTo(): Version | null {
    return this.#generations.live().find(goesOn)?.exported ?? null;
  }

  /** Whether the state of this moment can be restored: the generation that it belongs to has all of it. */
  holds(version: Version): boolean {
    return this.#generations.all().some((one) => {
      const { state, consistentFrom } = one;
      if (state === "damaged" || consistentFrom === null || consistentFrom > version) return false;
      return this.#hasAllUpTo(one, version);
    });
  }

  #hasAllUpTo(one: Generation, version: Version): boolean {
    const { state, exported, endsAt, gap } = one;
    switch (state) {
      case "complete":
        return (endsAt === null || version <= endsAt) && this.#generations.hasStored(one, version);
      case "ended":
        // Between its last commit and its gap, the generation holds the state of the last commit.
        return gap !== null && gap.after >= version;
      case "retired":
      case "damaged":
        return exported >= version;
      case "snapshotting":
      case "deleting":
        return false;
    }
  }
}

/** Whether the generation gets every commit from now on. */
export function goesOn({ state, endsAt }: Generation): boolean {
  return state === "complete" && endsAt === null;
}
