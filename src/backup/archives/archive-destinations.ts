/**
 * The destinations of a database's archives, as their owner has set them. A place is tried before it is stored: an object is written there,
 * read, listed and deleted. The secret part of credentials is sealed, and bound to the database and the destination.
 *
 * While no destination is enabled, archives go to the deployment's own place, if it has one.
 */
import type {
  ArchiveDestinationConfig,
  ArchiveDestinationInfo,
  ArchivePlace,
  NewArchiveDestination,
  NewArchiveDestinationConfig,
} from "../../contracts/archive-commands.ts";
import type { BackupCredentials } from "../../contracts/backup-destinations.ts";
import { MAX_ARCHIVE_DESTINATIONS } from "../../core/archive-limits.ts";
import { asUnixMs, type Clock } from "../../core/clock.ts";
import type { Entropy } from "../../core/entropy.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import type { SqlValue, SyncStorage } from "../../core/storage.ts";
import type { Destination } from "../destinations/destination.ts";
import { probe } from "../probe.ts";
import type { SecretBox } from "../secrets.ts";
import type { ArchiveStore, ArchiveStores, ClosedStore } from "./archive-service.ts";
import { hasPlanTables, makePlanTables } from "./plan-schema.ts";

export interface ArchiveDestinationsParts {
  readonly storage: SyncStorage;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly databaseId: string;
  /** Or why the deployment cannot encrypt secrets. */
  readonly secrets: SecretBox | Failure;
  /** Checks the settings and makes the driver, without a request. Credentials are null for a place that needs none. */
  readonly open: (config: ArchiveDestinationConfig, credentials: BackupCredentials | null) => Destination | Failure;
  /** Why a destination cannot leave its place now. null: nothing is being sent there. */
  readonly busyAt: (destinationId: string) => Failure | null;
  /** Where archives go while no destination is enabled. null: the deployment has no place of its own. */
  readonly ownPlace: ArchiveDestinationConfig | null;
}

/** The id and the name of the deployment's own place while no destination is enabled. */
export const OWN_PLACE = "local";

/** The secret part of credentials, before it is sealed. */
type SecretPart = Omit<BackupCredentials, "accessKeyId">;

interface Row extends Record<string, SqlValue> {
  id: string;
  name: string;
  enabled: number;
  max_backups: number | null;
  config: string;
  secret: string | null;
  result_at: number | null;
  result_error: string | null;
  created_at: number;
  updated_at: number;
}

const NONE = failure("not-found", "This database has no such destination for archives.");

export class ArchiveDestinations implements ArchiveStores {
  readonly #parts: ArchiveDestinationsParts;

  constructor(parts: ArchiveDestinationsParts) {
    this.#parts = parts;
    if (hasPlanTables(parts.storage)) makePlanTables(parts.storage);
  }

  /** The oldest first. */
  list(): ArchiveDestinationInfo[] {
    return this.#rows().map(infoOf);
  }

  get(id: string): ArchiveDestinationInfo | Failure {
    const row = this.#row(id);
    return row === undefined ? NONE : infoOf(row);
  }

  /** One that no destination of this database has had: archives name the destinations at which they lie. It fits into 53 bits. */
  newId(): string {
    const { clock, entropy } = this.#parts;
    const [high = 0, low = 0] = entropy.bytes(2);
    const numbers = this.#rows().map(({ id }) => (/^\d+$/.test(id) ? Number(id) : 0));
    return String(Math.max(clock.now() * 1000 + ((high * 256 + low) % 1000), ...numbers.map((one) => one + 1)));
  }

  /** `id` must be new. "invalid" with what is wrong when the place does not do what archives need. */
  async add(id: string, wanted: NewArchiveDestination): Promise<ArchiveDestinationInfo | Failure> {
    const { storage, clock } = this.#parts;
    const flaw = this.#flawOfNew(wanted.name) ?? this.#flawOfPlace(wanted.config, id);
    if (flaw !== null) return flaw;
    const placed = await this.#tried(id, wanted.config);
    if (isFailure(placed)) return placed;
    // Meanwhile others may have been added.
    const late = this.#flawOfNew(wanted.name) ?? this.#flawOfPlace(wanted.config, id);
    if (late !== null) return late;
    makePlanTables(storage);
    const now = clock.now();
    storage.sql.exec(
      `INSERT INTO archive_destinations (id, name, enabled, max_backups, config, secret, result_at, created_at, updated_at)
       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?7)`,
      id,
      wanted.name,
      Number(wanted.enabled),
      wanted.maxBackups,
      JSON.stringify(placed.config),
      placed.secret,
      now,
    );
    return this.get(id);
  }

  async change(id: string, changes: Partial<NewArchiveDestination>): Promise<ArchiveDestinationInfo | Failure> {
    const before = this.#row(id);
    if (before === undefined) return NONE;
    const name = changes.name ?? before.name;
    if (name !== before.name && this.#hasName(name)) return nameIsTaken(name);
    const flaw = changes.config === undefined ? null : this.#flawOfPlace(changes.config, id);
    if (flaw !== null) return flaw;
    const moves = changes.config !== undefined && placeOf(changes.config) !== placeOf(configOf(before));
    const busyAt = (): Failure | null => (moves ? this.#parts.busyAt(id) : null);
    const busy = busyAt();
    if (busy !== null) return busy;
    const placed =
      changes.config === undefined
        ? { config: configOf(before), secret: before.secret }
        : await this.#tried(id, changes.config);
    if (isFailure(placed)) return placed;
    if (this.#row(id) === undefined) return NONE;
    const busyNow = busyAt();
    if (busyNow !== null) return busyNow;
    const { storage, clock } = this.#parts;
    storage.sql.exec(
      "UPDATE archive_destinations SET name = ?2, enabled = ?3, max_backups = ?4, config = ?5, secret = ?6, updated_at = ?7 WHERE id = ?1",
      id,
      name,
      Number(changes.enabled ?? before.enabled === 1),
      changes.maxBackups === undefined ? before.max_backups : changes.maxBackups,
      JSON.stringify(placed.config),
      placed.secret,
      clock.now(),
    );
    return this.get(id);
  }

  /**
   * A destination of a restored archive, in the caller's transaction, when there is none of its name. It has no secret, so it is not enabled.
   * The tables exist.
   */
  restore(
    id: string,
    { name, maxBackups, config }: Pick<ArchiveDestinationInfo, "name" | "maxBackups" | "config">,
  ): void {
    if (this.#flawOfNew(name) !== null || this.#flawOfPlace(config, id) !== null) return;
    const now = this.#parts.clock.now();
    this.#parts.storage.sql.exec(
      `INSERT INTO archive_destinations (id, name, enabled, max_backups, config, created_at, updated_at)
       VALUES (?1, ?2, 0, ?3, ?4, ?5, ?5)`,
      id,
      name,
      maxBackups,
      JSON.stringify(config),
      now,
    );
  }

  /** What lies there stays there. What is half sent would stay, too, so that is waited for. */
  remove(id: string): { readonly ok: true } | Failure {
    if (this.#row(id) === undefined) return NONE;
    const busy = this.#parts.busyAt(id);
    if (busy !== null) return busy;
    this.#parts.storage.sql.exec("DELETE FROM archive_destinations WHERE id = ?1", id);
    return { ok: true };
  }

  /** Tries the destination and stores the result. */
  async test(id: string): Promise<ArchiveDestinationInfo | Failure> {
    const opened = await this.open(id);
    const refused = isFailure(opened) ? opened : await this.#probe(opened.destination);
    this.noted(id, refused?.message ?? null);
    return refused ?? this.get(id);
  }

  /** Those that a new archive goes to. Empty: none is enabled, and the deployment has no place of its own. */
  async enabled(): Promise<readonly (ArchiveStore | ClosedStore)[]> {
    const rows = this.#rows().filter(({ enabled }) => enabled === 1);
    const own = rows.length === 0 ? this.#openOwn() : null;
    if (own !== null) return isFailure(own) ? [] : [own];
    const stores: (ArchiveStore | ClosedStore)[] = [];
    for (const row of rows) {
      const store = await this.open(row.id);
      // One that cannot be opened must not keep the archive from the others.
      const { id: destinationId, name } = row;
      const { type } = configOf(row);
      stores.push(isFailure(store) ? { destinationId, name, type, destination: null, error: store.message } : store);
    }
    return stores;
  }

  /** Also a destination that is not enabled. "not-found" when it was removed. */
  async open(id: string): Promise<ArchiveStore | Failure> {
    const row = this.#row(id);
    if (row === undefined) return id === OWN_PLACE ? this.#openOwn() : NONE;
    const credentials = await this.#credentials(row);
    if (isFailure(credentials)) return credentials;
    const config = configOf(row);
    const destination = this.#parts.open(config, credentials);
    if (isFailure(destination)) return destination;
    return { destinationId: id, name: row.name, type: config.type, destination };
  }

  async openPlace(place: ArchivePlace, object: string): Promise<ArchiveStore | Failure> {
    const { destinationId, type } = place;
    if (type === "s3") return this.open(destinationId);
    const row = this.#row(destinationId);
    // The name begins with the organization's id, which is no part of the directory.
    const directory = place.object.slice(place.object.indexOf("/") + 1, -object.length).replace(/\/$/, "");
    const destination = this.#parts.open({ type, directory }, null);
    if (!isFailure(destination)) return { destinationId, name: row?.name ?? place.name, type, destination };
    // A deployment that has no such place any more does not keep its archives in the list.
    return row === undefined ? NONE : destination;
  }

  noted(id: string, error: string | null): void {
    if (!hasPlanTables(this.#parts.storage)) return;
    this.#parts.storage.sql.exec(
      "UPDATE archive_destinations SET result_at = ?2, result_error = ?3 WHERE id = ?1",
      id,
      this.#parts.clock.now(),
      error,
    );
  }

  /** How many archives of the schedule each destination keeps. null: that was not set. */
  kept(): ReadonlyMap<string, number | null> {
    return new Map(this.#rows().map(({ id, max_backups: most }) => [id, most] as const));
  }

  #openOwn(): ArchiveStore | Failure {
    const { ownPlace, open } = this.#parts;
    if (ownPlace === null) return NONE;
    const destination = open(ownPlace, null);
    if (isFailure(destination)) return destination;
    return { destinationId: OWN_PLACE, name: OWN_PLACE, type: ownPlace.type, destination };
  }

  /** The settings divided for storing, after the place was tried. */
  async #tried(
    id: string,
    config: NewArchiveDestinationConfig,
  ): Promise<{ readonly config: ArchiveDestinationConfig; readonly secret: string | null } | Failure> {
    const { shown, credentials } = divided(config);
    const destination = this.#parts.open(shown, credentials);
    if (isFailure(destination)) return destination;
    const secret = credentials === null ? null : await this.#sealed(id, credentials);
    if (secret !== null && isFailure(secret)) return secret;
    const refused = await this.#probe(destination);
    return refused ?? { config: shown, secret };
  }

  async #probe(destination: Destination): Promise<Failure | null> {
    const { databaseId, entropy } = this.#parts;
    const refused = await probe(destination, databaseId, entropy.bytes(32));
    return refused === null ? null : failure(refused.class === "retry" ? "unavailable" : "invalid", refused.message);
  }

  async #sealed(id: string, { secretAccessKey, sessionToken }: BackupCredentials): Promise<string | Failure> {
    const { secrets, databaseId } = this.#parts;
    if (isFailure(secrets)) return secrets;
    const part: SecretPart = { secretAccessKey, sessionToken };
    return secrets.seal(JSON.stringify(part), { databaseId, backupId: id });
  }

  /** They are sealed anew if their key is an old one. null: the place needs none. */
  async #credentials(row: Row): Promise<BackupCredentials | null | Failure> {
    const { secrets, databaseId, storage } = this.#parts;
    const config = configOf(row);
    if (config.type !== "s3") return null;
    if (row.secret === null) return NO_SECRET;
    if (isFailure(secrets)) return secrets;
    const opened = await secrets.open(row.secret, { databaseId, backupId: row.id });
    if (!opened.ok) return opened;
    // Sealed above, from a value of this type.
    const credentials = { accessKeyId: config.accessKeyId, ...(JSON.parse(opened.text) as SecretPart) };
    if (opened.stale) {
      const anew = await this.#sealed(row.id, credentials);
      if (typeof anew === "string") {
        const { sql } = storage;
        sql.exec("UPDATE archive_destinations SET secret = ?3 WHERE id = ?1 AND secret = ?2", row.id, row.secret, anew);
      }
    }
    return credentials;
  }

  #flawOfNew(name: string): Failure | null {
    if (this.#hasName(name)) return nameIsTaken(name);
    if (this.#rows().length < MAX_ARCHIVE_DESTINATIONS) return null;
    return failure("limit", `A database has at most ${MAX_ARCHIVE_DESTINATIONS} destinations for archives.`);
  }

  /** One object must not be the copy of two destinations: what is deleted for one would be missing at the other. */
  #flawOfPlace(config: ArchiveDestinationConfig | NewArchiveDestinationConfig, id: string): Failure | null {
    const place = placeOf(config);
    const other = this.#rows().find((row) => row.id !== id && placeOf(configOf(row)) === place);
    if (other === undefined) return null;
    return failure(
      "conflict",
      `The destination ${JSON.stringify(other.name)} is at this place already: choose another.`,
    );
  }

  #hasName(name: string): boolean {
    return this.#rows().some((row) => row.name === name);
  }

  #row(id: string): Row | undefined {
    return this.#rows().find((row) => row.id === id);
  }

  #rows(): Row[] {
    const { storage } = this.#parts;
    if (!hasPlanTables(storage)) return [];
    return storage.sql.exec<Row>("SELECT * FROM archive_destinations ORDER BY created_at, id").toArray();
  }
}

const NO_SECRET = failure(
  "invalid",
  "The destination has no secret, because it came back with a restored archive: send its config again, with the secret access key.",
);

/** The same text for the same place. On Cloudflare `r2` and `local` are the same bucket. */
function placeOf(config: ArchiveDestinationConfig | NewArchiveDestinationConfig): string {
  const trimmed = (path: string): string => path.replaceAll(/^\/+|\/+$/g, "");
  if (config.type !== "s3") return JSON.stringify(["own", trimmed(config.directory)]);
  const { endpoint, bucket, prefix } = config;
  return JSON.stringify(["s3", trimmed(endpoint).toLowerCase(), bucket, trimmed(prefix)]);
}

function nameIsTaken(name: string): Failure {
  return failure(
    "conflict",
    `This database has another destination named ${JSON.stringify(name)}: choose another name.`,
  );
}

function divided(config: NewArchiveDestinationConfig): {
  readonly shown: ArchiveDestinationConfig;
  readonly credentials: BackupCredentials | null;
} {
  if (config.type !== "s3") return { shown: config, credentials: null };
  const { secretAccessKey, sessionToken, ...shown } = config;
  return { shown, credentials: { accessKeyId: config.accessKeyId, secretAccessKey, sessionToken } };
}

function configOf({ config }: Row): ArchiveDestinationConfig {
  // This class wrote it, from a value of this type.
  return JSON.parse(config) as ArchiveDestinationConfig;
}

function infoOf(row: Row): ArchiveDestinationInfo {
  return {
    id: row.id,
    name: row.name,
    enabled: row.enabled === 1,
    maxBackups: row.max_backups,
    config: configOf(row),
    lastResult: row.result_at === null ? null : { at: asUnixMs(row.result_at), error: row.result_error },
    createdAt: asUnixMs(row.created_at),
    updatedAt: asUnixMs(row.updated_at),
  };
}
