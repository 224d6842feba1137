/**
 * The deployment's secrets: from the environment, or made at the first start and kept in `secrets.json` in the data folder. Their names
 * are those of the Worker's bindings. Secrets from the environment are not written to the file.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { encryptionKeys } from "../core/encryption-keys.ts";
import { failure, type Failure, isFailure } from "../core/errors.ts";

import type { KeyList } from "../core/key-list.ts";
import { isLoopback, lineBreakIn, placeholderAmong } from "../contracts/secret-text.ts";
import { signingKeys } from "../contracts/signing-keys.ts";
import { underLock } from "./folder-lock.ts";
import { readKept, writeKept } from "./kept-file.ts";

interface SecretKind {
  make(): string;
  /** What is wrong with a value of this kind, to follow the secret's name. Shows nothing of the value. */
  flaw(value: string): string | undefined;
}

const deploymentTokens = /^[\w.~+/=-]{16,512}(,[\w.~+/=-]{16,512})*$/;

/** A new secret of the deployment needs a new row here. The Worker gets it as a binding of the same name. */
const kinds = {
  CAIRN_DEPLOYMENT_TOKEN: {
    make: () => `cairn_deployment_${randomBytes(32).toString("base64url")}`,
    flaw: (value) =>
      deploymentTokens.test(value)
        ? undefined
        : " must be 16 to 512 of the characters that a bearer token may have (letters, digits, - . _ ~ + / =), or several such, separated by commas.",
  },
  CAIRN_SIGNING_KEYS: keyList(signingKeys),
  CAIRN_ENCRYPTION_KEYS: keyList(encryptionKeys),
} satisfies Record<string, SecretKind>;

function keyList(parse: (text: string) => KeyList | Failure): SecretKind {
  return {
    make: () => `k${randomBytes(4).toString("hex")}:${randomBytes(32).toString("base64")}`,
    flaw(value) {
      const keys = parse(value);
      return isFailure(keys) ? `, ${keys.message}` : undefined;
    },
  };
}

export type SecretName = keyof typeof kinds;
export type Secrets = Readonly<Record<SecretName, string>>;

export const secretNames: readonly SecretName[] = [
  "CAIRN_DEPLOYMENT_TOKEN",
  "CAIRN_SIGNING_KEYS",
  "CAIRN_ENCRYPTION_KEYS",
];

export function newSecrets(): Secrets {
  const made = secretNames.map((name) => [name, kinds[name].make()]);
  // One entry for each name.
  return Object.fromEntries(made) as Secrets;
}

/**
 * The secrets of a server in an existing folder, which is reached by these `hosts`. `given` has priority, then the file. Missing secrets
 * are made and added to the file. `npm start` and `npm run dev` may do that at the same time. `invalid`: a secret has the wrong form, or
 * is a placeholder where others can reach the server, or the file is not one of ours. The sentence names the secret and shows nothing of
 * its value.
 */
export function deploymentSecrets(
  folder: string,
  given: Partial<Record<SecretName, string>>,
  hosts: readonly string[],
): Secrets | Failure {
  const file = join(folder, "secrets.json");
  const known = knownSecrets(file, given);
  if (isFailure(known)) return known;
  const placeholder = hosts.every(isLoopback) ? undefined : placeholderAmong(known);
  if (placeholder !== undefined) return placeholder;
  return isComplete(known) ? known : underLock(join(folder, "secrets-lock.db"), () => completed(file, given));
}

function completed(file: string, given: Partial<Record<SecretName, string>>): Secrets | Failure {
  const known = knownSecrets(file, given);
  if (isFailure(known)) return known;
  const made = secretNames.filter((name) => known[name] === undefined).map((name) => [name, kinds[name].make()]);
  const kept = readKept(file);
  if (isFailure(kept)) return kept;
  // `kept` was read under the lock, so it has what another process has made meanwhile.
  if (made.length > 0) writeKept(file, { ...kept.values, ...Object.fromEntries(made) });
  // Each secret is either known or was made.
  return { ...Object.fromEntries(made), ...known } as Secrets;
}

/** The secrets that are given or in the file. */
function knownSecrets(file: string, given: Partial<Record<SecretName, string>>): Partial<Secrets> | Failure {
  const kept = readKept(file);
  if (isFailure(kept)) return kept;
  const secrets: Partial<Record<SecretName, string>> = {};
  for (const name of secretNames) {
    const known = given[name] ?? kept.values[name];
    if (known === undefined) continue;
    const flaw = flawOf(name, known);
    if (flaw !== undefined) {
      const where = given[name] === undefined ? `${name} in ${file}` : name;
      return failure("invalid", `${where}${flaw}`);
    }
    secrets[name] = known;
  }
  return secrets;
}

function isComplete(secrets: Partial<Secrets>): secrets is Secrets {
  return secretNames.every((name) => secrets[name] !== undefined);
}

/** What is wrong with the value, to follow the secret's name. */
function flawOf(name: SecretName, value: string): string | undefined {
  const lineBreak = lineBreakIn(value);
  return lineBreak === undefined ? kinds[name].flaw(value) : ` ${lineBreak}`;
}
