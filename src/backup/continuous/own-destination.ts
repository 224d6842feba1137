/**
 * Opens the destination of a database's own backup: the configured one, which is kept open while its secret stays the same, and one that
 * an owner names, which is tried first.
 */
import type { BackupCredentials, BackupDestination } from "../../contracts/backup-destinations.ts";
import type { Entropy } from "../../core/entropy.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import type { Configuration, ConfigurationTable } from "./configuration.ts";
import { openCredentials, sealCredentials } from "../credentials.ts";
import type { Destination } from "../destinations/destination.ts";
import { probe } from "../probe.ts";
import type { SecretBox } from "../secrets.ts";
import type { OpenDestination } from "../sources.ts";

export interface OwnDestinationOptions {
  readonly configurations: ConfigurationTable;
  readonly entropy: Entropy;
  /** Or why the deployment cannot encrypt secrets. */
  readonly secrets: SecretBox | Failure;
  readonly openDestination: OpenDestination;
}

export class OwnDestination {
  readonly #options: OwnDestinationOptions;
  /** The driver, and the sealed secret of the configuration that it was opened for. */
  #opened: { readonly of: string; readonly destination: Destination } | null = null;

  constructor(options: OwnDestinationOptions) {
    this.#options = options;
  }

  /** The configured destination, with its secret decrypted. */
  async open(configuration: Configuration): Promise<Destination | Failure> {
    const { id, destination, secret } = configuration;
    const key = secret ?? id;
    if (this.#opened?.of === key) return this.#opened.destination;
    const found = await this.credentials(configuration);
    if (!found.ok) return found;
    const opened = this.#options.openDestination(destination, found.credentials);
    if (!isFailure(opened)) this.#opened = { of: key, destination: opened };
    return opened;
  }

  /** The credentials. They are encrypted anew if their key is an old one. */
  async credentials(configuration: Configuration): ReturnType<typeof openCredentials> {
    const { configurations, secrets } = this.#options;
    const opened = await openCredentials(secrets, configuration);
    if (!opened.ok || !opened.stale) return opened;
    const secret = await sealCredentials(secrets, opened.credentials, configuration);
    if (typeof secret === "string" && configurations.get()?.secret === configuration.secret) {
      configurations.setSecret(configuration.destination, secret);
    }
    return opened;
  }

  /** A destination that accepts what a backup writes there; or why it does not. */
  async probed(
    destination: BackupDestination,
    credentials: BackupCredentials | null,
    databaseId: string,
  ): Promise<Destination | Failure> {
    const opened = this.#options.openDestination(destination, credentials);
    if (isFailure(opened)) return opened;
    const refused = await probe(opened, databaseId, this.#options.entropy.bytes(32));
    return refused === null ? opened : failure("invalid", refused.message);
  }

  /** The backup is gone. */
  forget(): void {
    this.#opened = null;
  }
}
