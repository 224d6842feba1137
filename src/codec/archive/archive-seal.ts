/**
 * How the bodies of an archive are protected. With a key: AES-256-GCM under a key of the archive alone, which HKDF-SHA-256 derives from the
 * deployment's key and the header's salt. Without a key the tag is the beginning of a SHA-256: it finds accidents, not forgery.
 */
import { concatBytes, equalBytes, unshared } from "../../core/bytes.ts";
import type { NamedKey } from "../../core/key-list.ts";
import { boundTo, KEY_CHECK_BYTES, nonceOf, TAG_BYTES } from "./archive-layout.ts";

const BODY_KEY = "cairn archive 1 body";
const KEY_CHECK = "cairn archive 1 key check";

/** Where a body stands: its tag holds it there. */
export interface FramePlace {
  readonly headerHash: Uint8Array;
  readonly index: number;
  readonly epoch: number;
  /** The first bytes of its frame. */
  readonly head: Uint8Array;
}

export interface BodySeal {
  /** The body as it lies in the file, and its tag behind it. */
  seal(plain: Uint8Array, place: FramePlace): Promise<Uint8Array>;
  /** The inverse. null: it was altered, or belongs to another place. */
  open(sealed: Uint8Array, place: FramePlace): Promise<Uint8Array | null>;
}

export async function sha256(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", unshared(bytes)));
}

/** 16 bytes that show whether a reader has the key of the writer, and nothing of the key. */
export async function keyCheckOf({ secret }: NamedKey, salt: Uint8Array): Promise<Uint8Array> {
  return derived(secret, salt, KEY_CHECK, KEY_CHECK_BYTES);
}

/** `key` null: nothing is encrypted. */
export async function bodySeal(key: NamedKey | null, salt: Uint8Array): Promise<BodySeal> {
  if (key === null) return plainSeal;
  const bytes = await derived(key.secret, salt, BODY_KEY, 32);
  const secret = await crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]);
  return {
    async seal(plain, place) {
      return new Uint8Array(await crypto.subtle.encrypt(gcm(place), secret, unshared(plain)));
    },
    async open(sealed, place) {
      try {
        return new Uint8Array(await crypto.subtle.decrypt(gcm(place), secret, unshared(sealed)));
      } catch {
        // Web Crypto says no more than that the tag does not fit.
        return null;
      }
    },
  };
}

const plainSeal: BodySeal = {
  async seal(plain, place) {
    return concatBytes([plain, await plainTag(plain, place)]);
  },
  async open(sealed, place) {
    const plain = sealed.subarray(0, sealed.length - TAG_BYTES);
    return equalBytes(sealed.subarray(plain.length), await plainTag(plain, place)) ? plain : null;
  },
};

async function plainTag(plain: Uint8Array, place: FramePlace): Promise<Uint8Array> {
  const hash = await sha256(concatBytes([bound(place), plain]));
  return hash.subarray(0, TAG_BYTES);
}

function gcm(place: FramePlace): {
  readonly name: string;
  readonly iv: Uint8Array<ArrayBuffer>;
  readonly additionalData: Uint8Array<ArrayBuffer>;
} {
  return { name: "AES-GCM", iv: nonceOf(place.epoch, place.index), additionalData: bound(place) };
}

function bound({ headerHash, index, epoch, head }: FramePlace): Uint8Array<ArrayBuffer> {
  return boundTo(headerHash, nonceOf(epoch, index), head);
}

async function derived(
  secret: Uint8Array,
  salt: Uint8Array,
  purpose: string,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const key = await crypto.subtle.importKey("raw", unshared(secret), "HKDF", false, ["deriveBits"]);
  const info = new TextEncoder().encode(purpose);
  const algorithm = { name: "HKDF", hash: "SHA-256", salt: unshared(salt), info };
  return new Uint8Array(await crypto.subtle.deriveBits(algorithm, key, 8 * length));
}
