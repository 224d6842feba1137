/**
 * The ids of API keys: `key_{16 hex}_{24 hex}`, and `key_{16 hex}_{jurisdiction}_{24 hex}` for a database in a jurisdiction. The last part
 * is an HMAC over the database's id and the rest. So a made-up id, or one of another database, is refused before any object is called, and
 * the database's object is found without a call. When a signing key is dropped, the API keys whose ids were made with it end.
 */
import { assert } from "../core/assert.ts";
import { toHex } from "../core/bytes.ts";
import { equalInConstantTime } from "../core/digest.ts";
import { failure, type Failure } from "../core/errors.ts";
import { DerivedKeys } from "./derived-keys.ts";
import { type Jurisdiction, JURISDICTIONS } from "./placement.ts";
import type { SigningKey, SigningKeys } from "./signing-keys.ts";

const CHECK_BYTES = 12;
const RANDOM_PART = /^[0-9a-f]{16}$/;
const FORM = new RegExp(`^key_([0-9a-f]{16})_(?:(${JURISDICTIONS.join("|")})_)?([0-9a-f]{24})$`);

const encoder = new TextEncoder();

const NOT_OURS = failure(
  "unauthenticated",
  "The header keyid is no API key of the database in the header envid, or this deployment no longer accepts its signing key.",
);

export class ApiKeyIds {
  readonly #keys: SigningKeys;
  readonly #derived = new DerivedKeys();

  constructor(keys: SigningKeys) {
    this.#keys = keys;
  }

  /** `random`: 16 hexadecimal digits. `signingKey`: the one that made the id. */
  async make(
    databaseId: string,
    random: string,
    jurisdiction: Jurisdiction | null,
  ): Promise<{ readonly id: string; readonly signingKey: string }> {
    assert(RANDOM_PART.test(random), `16 hexadecimal digits, got ${random}`);
    const [key] = this.#keys;
    const begin = `key_${random}_${jurisdiction === null ? "" : `${jurisdiction}_`}`;
    return { id: begin + (await this.#check(key, databaseId, begin)), signingKey: key.kid };
  }

  /** Where the object of the id's database is. "unauthenticated" for an id that was not made for this database. */
  async placeOf(
    keyId: string,
    databaseId: string,
  ): Promise<{ readonly ok: true; readonly jurisdiction: Jurisdiction | null } | Failure> {
    const [, , place, check] = FORM.exec(keyId) ?? [];
    if (check === undefined) return NOT_OURS;
    const given = encoder.encode(check);
    const begin = keyId.slice(0, -check.length);
    let isRight = false;
    // Every key is tried, so that the time taken does not show which key made the check.
    for (const key of this.#keys) {
      if (equalInConstantTime(given, encoder.encode(await this.#check(key, databaseId, begin)))) isRight = true;
    }
    if (!isRight) return NOT_OURS;
    return { ok: true, jurisdiction: JURISDICTIONS.find((one) => one === place) ?? null };
  }

  async #check(key: SigningKey, databaseId: string, begin: string): Promise<string> {
    const mac = await this.#derived.hmac(key, "api key check", encoder.encode(`${databaseId}\0${begin}`));
    return toHex(mac.subarray(0, CHECK_BYTES));
  }
}
