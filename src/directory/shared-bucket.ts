/**
 * The deployment's own bucket is shared by its organizations: what each one puts there, and all that it is given back, lies below
 * the organization's id. Buckets with credentials of their own are whoever's the credentials are.
 */
import type { NewBackupDestination } from "../contracts/backup-destinations.ts";

/** The destination as it is used. A prefix as a backup shows it, with the organization's id, comes to the same as the one entered. */
export function destinationOf(organizationId: string, entered: NewBackupDestination): NewBackupDestination {
  switch (entered.kind) {
    case "s3":
      return entered;
    case "r2": {
      const own = `${organizationId}/`;
      const prefix = entered.prefix.replace(/^\/+/, "");
      return { ...entered, prefix: `${prefix}/`.startsWith(own) ? prefix : own + prefix };
    }
  }
}
