/**
 * What happens to a backup when a generation is not reliable any more: another writer has continued it, objects of it are gone, or a
 * verification has found it damaged. The generation is left as it is and the problem is shown. The history continues in another
 * generation.
 */
import type { Clock, UnixMs } from "../../core/clock.ts";
import { asUnixMs } from "../../core/clock.ts";
import { toHex } from "../../core/bytes.ts";
import type { Entropy } from "../../core/entropy.ts";
import { asSentence } from "../../core/errors.ts";
import type { DamagedGeneration } from "../../contracts/restore-commands.ts";
import type { SyncStorage } from "../../core/storage.ts";
import type { ConfigurationTable } from "./configuration.ts";
import { generationFolder } from "../format/object-names.ts";
import { isLive } from "./generation-row.ts";
import type { Generations } from "./generations.ts";
import type { Trouble } from "./ownership.ts";
import { type BackupPolicy, mayRenew } from "./policy.ts";
import type { DatabaseSource } from "../sources.ts";

export interface LeavingOptions {
  readonly storage: SyncStorage;
  readonly database: DatabaseSource;
  readonly configurations: ConfigurationTable;
  readonly generations: Generations;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly policy: BackupPolicy;
}

/** How much of the description of a damaged object the manifest has room for. */
const MAX_CAUSE_CHARACTERS = 400;

export class Leaving {
  readonly #options: LeavingOptions;

  constructor(options: LeavingOptions) {
    this.#options = options;
  }

  /** In one transaction: the generation is left, and another one begins, unless that has to wait. */
  leave(trouble: Trouble): void {
    const { storage, database, configurations, generations, clock, entropy, policy } = this.#options;
    const { start, kind } = trouble;
    const now = clock.now();
    const configuration = configurations.get();
    const waits = kind === "gone" && configuration !== null && !mayRenew(configuration, policy, now);
    storage.transactionSync(() => {
      switch (kind) {
        case "taken":
          generations.forget(start);
          break;
        case "foreign": {
          const cause = `${trouble.what} This database's own history goes on in a generation of its own.`;
          generations.displace(start, cause, trouble.intactUpTo);
          configurations.setLine(toHex(entropy.bytes(16)));
          configurations.setNotice(cause, now, false);
          break;
        }
        case "gone":
          generations.lose(start, trouble.what, trouble.heldUpTo);
          configurations.setNotice(`${trouble.what} ${renewal(waits ? configuration.renewAt : null)}`, now, false);
          if (!waits) configurations.setRenewAt(asUnixMs(now + policy.renewalMs));
          break;
      }
      configurations.markManifestStale();
      if (generations.live().length === 0 && !waits) generations.begin(now);
    });
    database.log.trim();
  }

  /** Handles what a verification has found. */
  damaged(found: readonly DamagedGeneration[]): void {
    const { configurations, generations, clock } = this.#options;
    for (const { generation, intactUpTo, problem } of found) {
      const known = generations.all().find(({ start }) => generationFolder({ start }) === generation);
      if (known === undefined || known.state === "damaged" || known.state === "deleting") continue;
      const { start } = known;
      const what = `A verification has found: ${shortened(asSentence(problem))}`;
      if (isLive(known)) {
        this.leave({ kind: "gone", start, what, heldUpTo: intactUpTo });
        continue;
      }
      generations.lose(start, what, intactUpTo);
      configurations.setNotice(what, clock.now(), true);
      configurations.markManifestStale();
    }
  }
}

/** When a generation will begin in place of one that is gone. null: now. */
function renewal(at: UnixMs | null): string {
  if (at === null) return "A new generation begins.";
  return `The one before it was gone less than an hour ago: a new generation begins at ${new Date(at).toISOString()}.`;
}

function shortened(text: string): string {
  return text.length <= MAX_CAUSE_CHARACTERS ? text : `${text.slice(0, MAX_CAUSE_CHARACTERS - 1)}…`;
}
