/** What an organization's services get from outside of its storage: the clock, randomness, the objects of databases, and more. */
import type { Clock, UnixMs } from "../core/clock.ts";
import type { Entropy } from "../core/entropy.ts";
import type { Failure } from "../core/errors.ts";
import type { DatabaseControl, IndexStub } from "../contracts/management.ts";
import type { OrphanedArchiveFiles } from "../contracts/orphaned-archives.ts";
import type { Jurisdiction, LocationHint } from "../contracts/placement.ts";
import type { SenderParts } from "./webhook-sender.ts";

export interface WebhookParts {
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** Encrypts the secrets of webhooks and jobs; or why the deployment cannot encrypt. */
  readonly secrets: Secrets | Failure;
  readonly webhooks: Omit<SenderParts, "clock"> & {
    /** Events are sent only to https and public hosts. */
    readonly strict: boolean;
  };
  /** Something has become due at this time. */
  dueBy(at: UnixMs): void;
}

export interface Placement {
  readonly jurisdiction: Jurisdiction | null;
  readonly locationHint: LocationHint | null;
}

/** `place` is authenticated: a secret that was sealed for one place cannot be opened for another. */
export interface Secrets {
  seal(text: string, place: SecretPlace): Promise<string>;
  /** `stale`: the secret was sealed with a key that is no longer the current one. */
  open(
    sealed: string,
    place: SecretPlace,
  ): Promise<{ readonly ok: true; readonly text: string; readonly stale: boolean } | Failure>;
}

interface SecretPlace {
  readonly databaseId: string;
  readonly backupId: string;
}

export interface OrganizationParts extends WebhookParts {
  database(id: string, placement: Placement): DatabaseControl;
  /** Whether this deployment can keep a database in a jurisdiction. */
  knowsJurisdictions(): boolean;
  /** Why there is no room for another database. null: as far as is known, there is. */
  roomForDatabase(): Promise<Failure | null>;
  index(): Pick<IndexStub, "forget">;
  /** What the organization has in the deployment's own place. */
  readonly orphanedArchives: OrphanedArchiveFiles;
}
