/** A destination's credentials as they are stored. Their secret part is sealed, and bound to the database and the backup. */
import type { BackupCredentials, BackupDestination, NewBackupDestination } from "../contracts/backup-destinations.ts";
import { assert } from "../core/assert.ts";
import { type Failure, isFailure } from "../core/errors.ts";
import type { SecretBox } from "./secrets.ts";

/** Which backup the credentials belong to. */
export interface CredentialsPlace {
  readonly id: string;
  readonly databaseId: string;
}

/** Where a backup goes. `secret` is null for a destination that needs none. */
export interface SealedDestination extends CredentialsPlace {
  readonly destination: BackupDestination;
  readonly secret: string | null;
}

/** The secret part of the credentials, before it is sealed. */
type SecretPart = Pick<BackupCredentials, "secretAccessKey" | "sessionToken">;

/** Divides a destination into the part that is stored in the clear and the part that is sealed. */
export function divide(given: NewBackupDestination): {
  readonly destination: BackupDestination;
  readonly credentials: BackupCredentials | null;
} {
  switch (given.kind) {
    case "r2":
      return { destination: given, credentials: null };
    case "s3": {
      const { secretAccessKey, sessionToken, ...destination } = given;
      return { destination, credentials: { accessKeyId: given.accessKeyId, secretAccessKey, sessionToken } };
    }
  }
}

/** The inverse of `divide`. */
export function join(destination: BackupDestination, credentials: BackupCredentials | null): NewBackupDestination {
  switch (destination.kind) {
    case "r2":
      return destination;
    case "s3":
      assert(credentials !== null, "credentials for a destination that needs them");
      return { ...destination, ...credentials };
  }
}

/** The destination with these credentials in place of its own. null for a kind that has none. */
export function withCredentials(
  destination: BackupDestination,
  { accessKeyId }: BackupCredentials,
): BackupDestination | null {
  switch (destination.kind) {
    case "r2":
      return null;
    case "s3":
      return { ...destination, accessKeyId };
  }
}

/** null when there is nothing to seal. */
export async function sealCredentials(
  secrets: SecretBox | Failure,
  credentials: BackupCredentials | null,
  { id, databaseId }: CredentialsPlace,
): Promise<string | null | Failure> {
  if (credentials === null) return null;
  if (isFailure(secrets)) return secrets;
  const { secretAccessKey, sessionToken } = credentials;
  const secretPart: SecretPart = { secretAccessKey, sessionToken };
  return secrets.seal(JSON.stringify(secretPart), { databaseId, backupId: id });
}

/** `credentials` null: the destination needs none. `stale`: they must be sealed anew, with the deployment's first key. */
export async function openCredentials(
  secrets: SecretBox | Failure,
  { id, databaseId, destination, secret }: SealedDestination,
): Promise<{ readonly ok: true; readonly credentials: BackupCredentials | null; readonly stale: boolean } | Failure> {
  switch (destination.kind) {
    case "r2":
      return { ok: true, credentials: null, stale: false };
    case "s3": {
      if (isFailure(secrets)) return secrets;
      const opened = await secrets.open(secret ?? "", { databaseId, backupId: id });
      if (!opened.ok) return opened;
      // Sealed above, from a value of this type.
      const credentials = { accessKeyId: destination.accessKeyId, ...(JSON.parse(opened.text) as SecretPart) };
      return { ok: true, credentials, stale: opened.stale };
    }
  }
}
