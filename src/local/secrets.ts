/**
 * The deployment's secrets: from the environment, or made at the first start and kept in `secrets.json` in the data folder,
 * which only its owner reads. They are named as the Worker's bindings are. What the environment gives is not written down.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { chmodSync, closeSync, fsyncSync, openSync, readFileSync, renameSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { failure, type Failure } from "../core/errors.ts";

interface SecretKind {
  make(): string;
  readonly form: RegExp;
  /** Completes "NAME must be …". */
  readonly description: string;
}

/** A new secret of the deployment is a new row here; the Worker gets it as a binding of the same name. */
const kinds = {
  CAIRN_DATABASE_ID: {
    make: () => randomUUID(),
    form: /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/,
    description: "a UUID in lower case",
  },
  CAIRN_ACCESS_TOKEN: {
    make: () => `cairn_${randomBytes(32).toString("base64url")}`,
    form: /^[\w.~+/=-]{8,512}$/,
    description: "8 to 512 of the characters that a bearer token may have (letters, digits, - . _ ~ + / =)",
  },
  CAIRN_SIGNING_KEYS: {
    make: () => `k${randomBytes(4).toString("hex")}:${randomBytes(32).toString("base64")}`,
    form: /^[\w-]{1,64}:[A-Za-z0-9+/]{42,}={0,2}(,[\w-]{1,64}:[A-Za-z0-9+/]{42,}={0,2})*$/,
    description: "a list of kid:base64, separated by commas, each key at least 32 bytes",
  },
} satisfies Record<string, SecretKind>;

export type SecretName = keyof typeof kinds;
export type Secrets = Readonly<Record<SecretName, string>>;

export const secretNames: readonly SecretName[] = ["CAIRN_DATABASE_ID", "CAIRN_ACCESS_TOKEN", "CAIRN_SIGNING_KEYS"];

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
  if (Object.keys(made).length > 0) writeOwnerOnly(file, JSON.stringify({ ...kept.values, ...made }, null, 2));
  // The loop has set every name.
  return secrets as Secrets;
}

function readKept(file: string): { readonly values: Readonly<Record<string, string>> } | Failure {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
    if ((statSync(file).mode & 0o077) !== 0) chmodSync(file, 0o600);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return { values: {} };
    return failure("invalid", `${file} cannot be read: ${String(error)}`);
  }
  const values = parseObject(text);
  if (values === undefined || Object.values(values).some((value) => typeof value !== "string")) {
    return failure("invalid", `${file} is not an object of texts. Put it right, or remove it to get new secrets.`);
  }
  // Every value was just seen to be a string.
  return { values: values as Record<string, string> };
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    // A JSON object has string keys and nothing else is known of it.
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** Whole or not at all, also when the machine stops midway. */
function writeOwnerOnly(file: string, text: string): void {
  const unfinished = `${file}.new`;
  const descriptor = openSync(unfinished, "w", 0o600);
  try {
    writeSync(descriptor, `${text}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(unfinished, file);
}
