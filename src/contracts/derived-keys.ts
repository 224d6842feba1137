/**
 * Keys for HMAC-SHA-256, derived from a deployment's signing keys (HKDF, RFC 5869), one for each purpose. So a MAC that was made for one
 * purpose is invalid for another.
 */
import { unshared } from "../core/bytes.ts";
import type { SigningKey } from "./signing-keys.ts";

export type Purpose = "access token check" | "access token secret" | "api key check" | "data token";

/** The runtimes do not agree on where this type is found. */
type CryptoKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

const encoder = new TextEncoder();

export class DerivedKeys {
  /** The keys are kept, not promises of them: another request must not await a promise of this one. */
  readonly #derived = new Map<string, CryptoKey>();

  async hmac(key: SigningKey, purpose: Purpose, bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array(await crypto.subtle.sign("HMAC", await this.#keyFor(key, purpose), unshared(bytes)));
  }

  async #keyFor(key: SigningKey, purpose: Purpose): Promise<CryptoKey> {
    const name = `${key.kid} ${purpose}`;
    const known = this.#derived.get(name);
    if (known !== undefined) return known;
    const input = await crypto.subtle.importKey("raw", key.secret, "HKDF", false, ["deriveKey"]);
    const derived = await crypto.subtle.deriveKey(
      { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info: encoder.encode(`cairn ${purpose}`) },
      input,
      { name: "HMAC", hash: "SHA-256", length: 256 },
      false,
      ["sign"],
    );
    this.#derived.set(name, derived);
    return derived;
  }
}
