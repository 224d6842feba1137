/**
 * The authority of a deployment with one database and one access token, both from its configuration. The token is looked at
 * first: only who has it learns which database there is.
 */
import type { Authority, DataToken, Grant } from "../core/authority.ts";
import type { Clock } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import { FOREVER, type DataTokens } from "./data-token.ts";
import { equalInConstantTime, sha256 } from "./digest.ts";

/** What the configured token is called in grants: it has no id of its own. */
export const CONFIGURED_TOKEN_ID = "configured";

export interface Configuration {
  readonly databaseId: string;
  readonly accessToken: string;
}

export class ConfiguredAuthority implements Authority {
  readonly #databaseId: string;
  readonly #accessToken: string;
  readonly #dataTokens: DataTokens;
  readonly #clock: Clock;

  constructor(configuration: Configuration, dataTokens: DataTokens, clock: Clock) {
    this.#databaseId = configuration.databaseId;
    this.#accessToken = configuration.accessToken;
    this.#dataTokens = dataTokens;
    this.#clock = clock;
  }

  /** `unauthenticated` for another token, whatever the database; then `not-found` for another database. */
  async exchange(accessToken: string, databaseId: string): Promise<DataToken | Failure> {
    const [given, expected] = await Promise.all([sha256(accessToken), sha256(this.#accessToken)]);
    if (!equalInConstantTime(given, expected)) {
      return failure(
        "unauthenticated",
        "The access token is wrong. Send the database's access token as a bearer token.",
      );
    }
    if (databaseId !== this.#databaseId) {
      return failure("not-found", "There is no such database, or none that this access token may open.");
    }
    const grant: Grant = { tokenId: CONFIGURED_TOKEN_ID, read: true, write: true, expiresAt: FOREVER };
    return this.#dataTokens.mint(grant, databaseId, this.#clock.now());
  }

  /** As `DataTokens.verify`. */
  verify(dataToken: string, databaseId: string): Grant | Failure | Promise<Grant | Failure> {
    return this.#dataTokens.verify(dataToken, databaseId, this.#clock.now());
  }
}
