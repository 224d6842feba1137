/**
 * The deployment's secrets: from the environment, or made at the first start and kept in `secrets.json` in the data folder.
 * They are named as the Worker's bindings are. What the environment gives is not written down.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { failure, type Failure } from "../core/errors.ts";
import { readKept, writeKept } from "./kept-file.ts";

interface SecretKind {
  make(): string;
  readonly form: RegExp;
  /** Completes "NAME must be …". */
  readonly description: string;
}

/** A new secret of the deployment is a new row here; the Worker gets it as a binding of the same name. */
const kinds = {
  CAIRN_DEPLOYMENT_TOKEN: {
    make: () => `cairn_deployment_${randomBytes(32).toString("base64url")}`,
    form: /^[\w.~+/=-]{16,512}(,[\w.~+/=-]{16,512})*$/,
    description:
      "16 to 512 of the characters that a bearer token may have (letters, digits, - . _ ~ + / =), or several such, separated by commas",
  },
  CAIRN_SIGNING_KEYS: {
    make: () => `k${randomBytes(4).toString("hex")}:${randomBytes(32).toString("base64")}`,
    form: /^[\w-]{1,64}:[A-Za-z0-9+/]{42,}={0,2}(,[\w-]{1,64}:[A-Za-z0-9+/]{42,}={0,2})*$/,
    description: "a list of kid:base64, separated by commas, each key at least 32 bytes",
  },
} satisfies Record<string, SecretKind>;

export type SecretName = keyof typeof kinds;
export type Secrets = Readonly<Record<SecretName, string>>;

export const secretNames: readonly SecretName[] = ["CAIRN_DEPLOYMENT_TOKEN", "CAIRN_SIGNING_KEYS"];

/**
 * Secrets for a data folder that exists and is locked. `given` goes first, then the file, then new ones, which are added to the
 * file. `invalid`: one has the wrong form, or the file is not ours; the sentence names it and shows nothing of its value.
 */
export function deploymentSecrets(folder: string, given: Partial<Record<SecretName, string>>): Secrets | Failure {
  const file = join(folder, "secrets.json");
  const kept = readKept(file);
  if ("ok" in kept) return kept;

  const made: Partial<Record<SecretName, string>> = {};
  const secrets: Partial<Record<SecretName, string>> = {};
  for (const name of secretNames) {
    const known = given[name] ?? kept.values[name];
    if (known !== undefined && !kinds[name].form.test(known)) {
      const where = given[name] === undefined ? `${name} in ${file}` : name;
      return failure("invalid", `${where} must be ${kinds[name].description}.`);
    }
    const value = known ?? kinds[name].make();
    if (known === undefined) made[name] = value;
    secrets[name] = value;
  }
  if (Object.keys(made).length > 0) writeKept(file, { ...kept.values, ...made });
  // The loop has set every name.
  return secrets as Secrets;
}
