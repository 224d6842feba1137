/**
 * Commands about the API keys of databases. This service checks them against the scopes of the caller's token, and the database's object,
 * which keeps the keys, carries them out. A key may do no more than the token that makes it, and ends with it.
 */
import type { ApiKeyAnswer, ApiKeyCommand } from "../contracts/api-keys.ts";
import { failure, type Failure, isFailure } from "../core/errors.ts";
import type { Input, Output } from "../contracts/management.ts";
import { askDatabase } from "./ask-database.ts";
import type { Organization } from "./organization.ts";
import type { OrganizationParts } from "./organization-parts.ts";
import { type Admitted, allows } from "./scopes.ts";

const READS_AND_WRITES = failure(
  "forbidden",
  "An API key reads and writes documents, so only a token with the permissions admin, read and write makes one.",
);

type Answered = Extract<ApiKeyAnswer, { readonly ok: true }>;

export class ApiKeyService {
  readonly #organization: Organization;
  readonly #parts: OrganizationParts;

  constructor(organization: Organization, parts: OrganizationParts) {
    this.#organization = organization;
    this.#parts = parts;
  }

  async create(who: Admitted, input: Input<"keys.create">): Promise<Output<"keys.create"> | Failure> {
    const { databaseId, name, permissions, requireExpiry, apps, idempotency } = input;
    const { scopes, name: createdBy } = who;
    if (scopes !== null && !(allows(scopes, "read") && allows(scopes, "write"))) return READS_AND_WRITES;
    const database = this.#organization.database(who, databaseId);
    const refused = isFailure(database) ? database : this.#organization.noteKeyMaker(who, databaseId);
    if (refused !== undefined) return refused;
    const wanted = { name, permissions, requireExpiry, apps, idempotency };
    const expiresAt = scopes?.expiresAt ?? null;
    const made = await this.#ask(who, databaseId, "created", { command: "create", createdBy, expiresAt, ...wanted });
    return isFailure(made) ? made : { key: made.key, secret: made.secret };
  }

  async list(who: Admitted, { databaseId }: Input<"keys.list">): Promise<Output<"keys.list"> | Failure> {
    const found = await this.#ask(who, databaseId, "list", { command: "list" });
    return isFailure(found) ? found : { items: found.keys, next: null };
  }

  async get(who: Admitted, { databaseId, keyId }: Input<"keys.get">): Promise<Output<"keys.get"> | Failure> {
    const found = await this.#ask(who, databaseId, "key", { command: "get", keyId });
    return isFailure(found) ? found : found.key;
  }

  async delete(who: Admitted, { databaseId, keyId }: Input<"keys.delete">): Promise<Output<"keys.delete"> | Failure> {
    const deleted = await this.#ask(who, databaseId, "deleted", { command: "delete", keyId });
    return isFailure(deleted) ? deleted : { deleted: true };
  }

  #ask<Kind extends Answered["kind"]>(who: Admitted, databaseId: string, kind: Kind, command: ApiKeyCommand) {
    const directory = { organization: this.#organization, parts: this.#parts };
    return askDatabase(directory, who, databaseId, kind, (database) => database.apiKeys(command));
  }
}
