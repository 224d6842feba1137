/**
 * Faults that a secret can have whatever it is for: a line break that came along with the file it was read from, and being a
 * placeholder. Placeholders guard nothing: the values that Cairn's own source once published, and what people type in their stead.
 * Sentences show nothing of the secret.
 */
import { failure, type Failure, isFailure } from "../core/errors.ts";
import type { KeyList } from "./key-list.ts";
import { encryptionKeys } from "./encryption-keys.ts";
import { signingKeys } from "./signing-keys.ts";

/** A deployment's secrets as its environment has them; what is not set is missing, null or empty. */
export interface SecretTexts {
  /** One token, or several separated by commas. */
  readonly CAIRN_DEPLOYMENT_TOKEN?: string | null;
  readonly CAIRN_SIGNING_KEYS?: string | null;
  readonly CAIRN_ENCRYPTION_KEYS?: string | null;
}

/** What `.dev.vars.example` held until November 2026, and so what anybody may try. */
const PUBLISHED: readonly string[] = [
  "choose-a-long-random-token",
  "signing key for local development!",
  "encryption key for local use  !!",
];

/** At random, not even 16 hexadecimal digits have so few different ones: that would be once in two million. */
const FEW_CHARACTERS = 4;

/** Printable words of one case with something between them. Nobody draws that at random, except from a list of words. */
const WORDS = /^(?=[ -~]+$)[\W_]*(?:[a-z]+(?:[\W_]+[a-z]+)+|[A-Z]+(?:[\W_]+[A-Z]+)+)[\W_]*$/;

/**
 * The end of a sentence about a secret that begins with its name; undefined when there is no line break in it. Files end with one,
 * and not every way of reading them leaves it out.
 */
export function lineBreakIn(value: string): string | undefined {
  if (!/[\r\n]/.test(value)) return undefined;
  const where = /[\r\n][^\r\n]/.test(value) ? "has a line break in it" : "ends with a line break";
  return `${where}, which is no part of a secret: read it from a file with $(cat file), which leaves the last one out.`;
}

/**
 * `invalid` for secrets one of which is a placeholder. Such secrets are good enough where only this machine reaches the
 * deployment, and nowhere else. Malformed ones are for others to refuse.
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

/** Its index. Words are refused in the current key alone: a passphrase that was a key until now can be rotated out. */
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

/** Whether a host name of a URL, brackets included, or an address leads to this machine alone. */
export function isLoopback(host: string): boolean {
  return /^(?:(?:.+\.)?localhost\.?|127(?:\.\d{1,3}){3}|\[?::1\]?)$/i.test(host);
}
