/**
 * The deployment's own bucket is shared by its organizations. What an organization stores there, and what it is given back, lies below
 * the organization's id. For buckets with credentials of their own, the credentials decide.
 */
import type { NewBackupDestination } from "../contracts/backup-destinations.ts";

/** The destination as it is used. The prefix may be given as it was entered, or as a backup shows it, with the organization's id. */
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
