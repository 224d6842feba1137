/**
 * Faults that any secret can have: a line break from the file that it was read from, and a placeholder in its place. Placeholders protect
 * nothing: they are values that Cairn's own source once published, and what people type instead. The sentences show nothing of the
 * secret.
 */
import { failure, type Failure, isFailure } from "../core/errors.ts";
import type { KeyList } from "../core/key-list.ts";
import { encryptionKeys } from "../core/encryption-keys.ts";
import { signingKeys } from "./signing-keys.ts";

/** A deployment's secrets as in its environment. One that is not set is missing, null or empty. */
export interface SecretTexts {
  /** One token, or several with commas between them. */
  readonly CAIRN_DEPLOYMENT_TOKEN?: string | null;
  readonly CAIRN_SIGNING_KEYS?: string | null;
  readonly CAIRN_ENCRYPTION_KEYS?: string | null;
}

/** The contents of `.dev.vars.example` until November 2026. Anybody may try them. */
const PUBLISHED: readonly string[] = [
  "choose-a-long-random-token",
  "signing key for local development!",
  "encryption key for local use  !!",
];

/** Even 16 random hexadecimal digits have more different characters than this, except once in two million. */
const FEW_CHARACTERS = 4;

/**
 * Printable words of one case with something between them. A random value never looks like this, unless it was drawn from a list of
 * words.
 */
const WORDS = /^(?=[ -~]+$)[\W_]*(?:[a-z]+(?:[\W_]+[a-z]+)+|[A-Z]+(?:[\W_]+[A-Z]+)+)[\W_]*$/;

/**
 * The end of a sentence that begins with the secret's name. undefined when there is no line break in the value. Files end with a line
 * break, and not every way of reading a file removes it.
 */
export function lineBreakIn(value: string): string | undefined {
  if (!/[\r\n]/.test(value)) return undefined;
  const where = /[\r\n][^\r\n]/.test(value) ? "has a line break in it" : "ends with a line break";
  return `${where}, which is no part of a secret: read it from a file with $(cat file), which leaves the last one out.`;
}

/**
 * `invalid` when one of the secrets is a placeholder. Such secrets are good enough where only this machine reaches the deployment, and
 * nowhere else. Malformed secrets are refused elsewhere.
 */
export function placeholderAmong(secrets: SecretTexts): Failure | undefined {
  const tokens = (secrets.CAIRN_DEPLOYMENT_TOKEN ?? "").split(",").map((token) => token.trim());
  const token = tokens.findIndex(isPlaceholder);
  if (token !== -1) return placeholder("CAIRN_DEPLOYMENT_TOKEN", token);
  for (const [name, parse] of [
    ["CAIRN_SIGNING_KEYS", signingKeys],
    ["CAIRN_ENCRYPTION_KEYS", encryptionKeys],
  ] as const) {
    const keys = parse(secrets[name] ?? "");
    const key = isFailure(keys) ? -1 : placeholderKey(keys);
    if (key !== -1) return placeholder(name, key);
  }
  return undefined;
}

/** The index of the first placeholder. Words are refused only in the current key: an old passphrase can still be rotated out. */
function placeholderKey(keys: KeyList): number {
  return keys.findIndex(({ secret }, index) => {
    const text = String.fromCharCode(...secret);
    return index === 0 ? isPlaceholder(text) : isWidelyKnown(text);
  });
}

function isPlaceholder(text: string): boolean {
  return isWidelyKnown(text) || WORDS.test(text);
}

function isWidelyKnown(text: string): boolean {
  return text !== "" && (PUBLISHED.includes(text) || new Set(text).size <= FEW_CHARACTERS);
}

function placeholder(name: string, index: number): Failure {
  return failure(
    "invalid",
    `${name}, entry ${index + 1}: it is a placeholder that others know or guess, accepted only where a server is reached from its own machine. Make a random one: npm run --silent secrets.`,
  );
}

/** Whether a host name of a URL (with the brackets of IPv6) or an address leads to this machine only. */
export function isLoopback(host: string): boolean {
  return /^(?:(?:.+\.)?localhost\.?|127(?:\.\d{1,3}){3}|\[?::1\]?)$/i.test(host);
}
