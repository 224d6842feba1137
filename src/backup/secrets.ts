/**
 * Destination secrets at rest: AES-256-GCM with the current key of `CAIRN_ENCRYPTION_KEYS`, a fresh random IV each time, and the key's id
 * in the clear. The ids of the database and of the backup are associated data, so a secret that is copied to another place cannot be
 * opened there. When a secret that was sealed with an older key is opened, the answer says so, and the secret must be sealed again.
 */
import { fromBase64, toBase64 } from "../core/bytes.ts";
import type { Entropy } from "../core/entropy.ts";
import { failure, type Failure } from "../core/errors.ts";
import type { KeyList } from "../core/key-list.ts";

/** The length that GCM is made for (NIST SP 800-38D, section 5.2.1.1). */
const IV_BYTES = 12;
const VERSION = "1";

/** Where a secret belongs. */
export interface SecretPlace {
  readonly databaseId: string;
  readonly backupId: string;
}

export type OpenedSecret =
  /** `stale`: the secret was sealed with a key that is no longer the current one. */
  { readonly ok: true; readonly text: string; readonly stale: boolean } | Failure;

export class SecretBox {
  readonly #keys: KeyList;
  readonly #entropy: Entropy;

  constructor(keys: KeyList, entropy: Entropy) {
    this.#keys = keys;
    this.#entropy = entropy;
  }

  /** Printable: version, key id, IV and ciphertext, separated by dots. IV and ciphertext are base64. */
  async seal(text: string, place: SecretPlace): Promise<string> {
    const [{ kid, secret }] = this.#keys;
    const iv = this.#entropy.bytes(IV_BYTES);
    const key = await importKey(secret, "encrypt");
    const algorithm = { name: "AES-GCM", iv, additionalData: associatedData(place, kid) };
    const sealed = await crypto.subtle.encrypt(algorithm, key, new TextEncoder().encode(text));
    return [VERSION, kid, toBase64(iv), toBase64(new Uint8Array(sealed))].join(".");
  }

  /** `internal` when none of the deployment's present keys opens it. */
  async open(sealed: string, place: SecretPlace): Promise<OpenedSecret> {
    const [version, kid, iv, ciphertext, ...rest] = sealed.split(".");
    if (version !== VERSION || iv === undefined || ciphertext === undefined || rest.length > 0) return notOurs();
    const known = this.#keys.find((key) => key.kid === kid);
    if (known === undefined) {
      return failure(
        "internal",
        `The destination's secret was encrypted under key ${JSON.stringify(kid)}, which CAIRN_ENCRYPTION_KEYS does not list any more: list it again, or enter the credentials anew.`,
      );
    }
    try {
      const algorithm = {
        name: "AES-GCM",
        iv: fromBase64(iv),
        additionalData: associatedData(place, known.kid),
      };
      const key = await importKey(known.secret, "decrypt");
      const text = await crypto.subtle.decrypt(algorithm, key, fromBase64(ciphertext));
      return { ok: true, text: new TextDecoder().decode(text), stale: known !== this.#keys[0] };
    } catch {
      // The text is no base64, or Web Crypto could not open it. Web Crypto says no more than that.
      return failure(
        "internal",
        `The destination's secret cannot be decrypted with key ${JSON.stringify(kid)} of CAIRN_ENCRYPTION_KEYS: it was encrypted under other bytes of that name, or was altered. List the key as it was, or enter the credentials anew.`,
      );
    }
  }
}

function notOurs(): Failure {
  return failure("internal", "The destination's secret cannot be decrypted: enter the credentials anew.");
}

function importKey(secret: Uint8Array<ArrayBuffer>, usage: "encrypt" | "decrypt"): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", secret, "AES-GCM", false, [usage]);
}

function associatedData({ databaseId, backupId }: SecretPlace, kid: string): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(["cairn backup secret", VERSION, kid, databaseId, backupId]));
}
