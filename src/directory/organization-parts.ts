/** What an organization's services are given: the clock, randomness, the databases' objects and whatever else is outside of its storage. */
import type { Clock, UnixMs } from "../core/clock.ts";
import type { Entropy } from "../core/entropy.ts";
import type { Failure } from "../core/errors.ts";
import type { DatabaseControl, IndexStub } from "../contracts/management.ts";
import type { Jurisdiction, LocationHint } from "../contracts/placement.ts";
import type { SenderParts } from "./webhook-sender.ts";

export interface WebhookParts {
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** Encrypts what signs; or why the deployment cannot. */
  readonly secrets: Secrets | Failure;
  readonly webhooks: Omit<SenderParts, "clock"> & {
    /** Events go to https and public hosts only. */
    readonly strict: boolean;
  };
  /** Something became due at this time. */
  dueBy(at: UnixMs): void;
}

export interface Placement {
  readonly jurisdiction: Jurisdiction | null;
  readonly locationHint: LocationHint | null;
}

/** The place is authenticated: what was sealed for one opens for no other. */
export interface Secrets {
  seal(text: string, place: SecretPlace): Promise<string>;
  /** `stale`: it was sealed under a key that is not the current one any more. */
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
  /** Whether databases can be kept to a jurisdiction here. */
  knowsJurisdictions(): boolean;
  /** Why there is no room for another database; null: there is, as far as is known. */
  roomForDatabase(): Promise<Failure | null>;
  index(): Pick<IndexStub, "forget">;
}
