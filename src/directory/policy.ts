/**
 * Who may do what with an organization, as one table. Every command has a row. The gate reads only this table, and the table in the
 * documentation is made from it.
 */
import { failure, type Failure } from "../core/errors.ts";
import type { Caller, CommandName } from "../contracts/management.ts";
import type { Permission, Scopes } from "../contracts/resources.ts";
import { allows } from "./scopes.ts";

export interface Rule {
  /** The token needs one of these permissions. */
  readonly needs: readonly Permission[];
  /**
   * `organization`: the token must be for all databases. `database`: it must cover the named database. `covered`: the answer has only
   * what the token covers.
   */
  readonly reach: "organization" | "database" | "covered";
  /** Whether the deployment's token may do it, too. */
  readonly deployment: boolean;
  /** What the command does, to end the sentence "This token may …". */
  readonly does: string;
}

export const POLICY: Readonly<Record<CommandName | "exchange", Rule>> = {
  exchange: {
    needs: ["read", "write"],
    reach: "database",
    deployment: false,
    does: "open a database, to read and to write as it has these",
  },
  "organization.get": {
    needs: ["read", "admin"],
    reach: "covered",
    deployment: true,
    does: "see the organization's name",
  },
  "organization.rename": {
    needs: ["admin"],
    reach: "organization",
    deployment: true,
    does: "rename the organization",
  },
  "organization.delete": {
    needs: ["admin"],
    reach: "organization",
    deployment: true,
    does: "delete the organization when it is empty",
  },
  "databases.create": { needs: ["admin"], reach: "organization", deployment: false, does: "create databases" },
  "databases.list": { needs: ["read", "admin"], reach: "covered", deployment: false, does: "list databases" },
  "databases.page": { needs: ["read", "admin"], reach: "covered", deployment: false, does: "list databases by page" },
  "databases.get": {
    needs: ["read", "admin"],
    reach: "database",
    deployment: false,
    does: "see a database's name and description",
  },
  "databases.update": {
    needs: ["admin"],
    reach: "database",
    deployment: false,
    does: "rename a database, describe it, or keep its log for feeds",
  },
  "databases.delete": { needs: ["admin"], reach: "database", deployment: false, does: "delete a database" },
  "databases.stats": {
    needs: ["read", "admin"],
    reach: "database",
    deployment: false,
    does: "see a database's statistics",
  },
  "keys.create": {
    needs: ["admin"],
    reach: "database",
    deployment: false,
    does: "make API keys of a database, with read and write too",
  },
  "keys.list": { needs: ["admin"], reach: "database", deployment: false, does: "list a database's API keys" },
  "keys.get": { needs: ["admin"], reach: "database", deployment: false, does: "see an API key" },
  "keys.delete": { needs: ["admin"], reach: "database", deployment: false, does: "delete an API key" },
  "backups.enable": {
    needs: ["admin"],
    reach: "database",
    deployment: false,
    does: "give a database a continuous backup",
  },
  "backups.get": {
    needs: ["backup", "admin"],
    reach: "database",
    deployment: false,
    does: "see a database's backup",
  },
  "backups.find": {
    needs: ["backup", "admin"],
    reach: "database",
    deployment: false,
    does: "find a backup by its id",
  },
  "backups.delete": { needs: ["admin"], reach: "database", deployment: false, does: "end a database's backup" },
  "backups.pause": {
    needs: ["backup", "admin"],
    reach: "database",
    deployment: false,
    does: "pause and resume a backup",
  },
  "backups.rotate": {
    needs: ["admin"],
    reach: "database",
    deployment: false,
    does: "give a backup new credentials",
  },
  "backups.range": {
    needs: ["backup", "admin"],
    reach: "database",
    deployment: false,
    does: "see how far a backup reaches back",
  },
  "backups.points": {
    needs: ["backup", "admin"],
    reach: "database",
    deployment: false,
    does: "list the commits of a backup",
  },
  "backups.verify": { needs: ["backup", "admin"], reach: "database", deployment: false, does: "verify a backup" },
  "backups.verifyEvery": {
    needs: ["backup", "admin"],
    reach: "database",
    deployment: false,
    does: "set how often a backup is verified",
  },
  "restores.create": {
    needs: ["backup", "admin"],
    reach: "database",
    deployment: false,
    does: "restore a database in place",
  },
  "forks.create": {
    needs: ["backup", "admin"],
    reach: "organization",
    deployment: false,
    does: "fork a database as it was",
  },
  "restores.createFromBucket": {
    needs: ["admin"],
    reach: "organization",
    deployment: false,
    does: "restore into a new database from a bucket",
  },
  "archives.create": {
    needs: ["backup", "admin"],
    reach: "database",
    deployment: false,
    does: "make an archive",
  },
  "archives.list": {
    needs: ["backup", "admin"],
    reach: "database",
    deployment: false,
    does: "list a database's archives",
  },
  "archives.get": {
    needs: ["backup", "admin"],
    reach: "database",
    deployment: false,
    does: "see an archive",
  },
  "archives.cancel": {
    needs: ["backup", "admin"],
    reach: "database",
    deployment: false,
    does: "cancel an archive that is being made",
  },
  "archives.destroy": {
    needs: ["backup", "admin"],
    reach: "database",
    deployment: false,
    does: "destroy an archive",
  },
  "archives.verify": {
    needs: ["backup", "admin"],
    reach: "database",
    deployment: false,
    does: "verify an archive",
  },
  "archives.restore": {
    needs: ["backup", "admin"],
    reach: "database",
    deployment: false,
    does: "restore a database from an archive, in place",
  },
  "archives.fork": {
    needs: ["backup", "admin"],
    reach: "organization",
    deployment: false,
    does: "make a new database from an archive",
  },
  "archives.download": {
    needs: ["backup", "admin"],
    reach: "database",
    deployment: false,
    does: "download an archive",
  },
  "archives.upload": {
    needs: ["backup", "admin"],
    reach: "database",
    deployment: false,
    does: "upload an archive",
  },
  "orphanedArchives.list": {
    needs: ["backup", "admin"],
    reach: "organization",
    deployment: false,
    does: "list archives of deleted databases",
  },
  "orphanedArchives.get": {
    needs: ["backup", "admin"],
    reach: "organization",
    deployment: false,
    does: "see or download an archive of a deleted database",
  },
  "orphanedArchives.fork": {
    needs: ["backup", "admin"],
    reach: "organization",
    deployment: false,
    does: "make a new database from an archive of a deleted one",
  },
  "orphanedArchives.destroy": {
    needs: ["backup", "admin"],
    reach: "organization",
    deployment: false,
    does: "destroy an archive of a deleted database",
  },
  "archiveSchedule.get": {
    needs: ["backup", "admin"],
    reach: "database",
    deployment: false,
    does: "see the schedule of a database's archives",
  },
  "archiveSchedule.update": {
    needs: ["admin"],
    reach: "database",
    deployment: false,
    does: "set the schedule of a database's archives",
  },
  "archiveDestinations.list": {
    needs: ["backup", "admin"],
    reach: "database",
    deployment: false,
    does: "list the destinations of a database's archives",
  },
  "archiveDestinations.get": {
    needs: ["backup", "admin"],
    reach: "database",
    deployment: false,
    does: "see a destination of archives",
  },
  "archiveDestinations.create": {
    needs: ["admin"],
    reach: "database",
    deployment: false,
    does: "give a database's archives a destination",
  },
  "archiveDestinations.update": {
    needs: ["admin"],
    reach: "database",
    deployment: false,
    does: "change a destination of archives",
  },
  "archiveDestinations.destroy": {
    needs: ["admin"],
    reach: "database",
    deployment: false,
    does: "remove a destination of archives",
  },
  "archiveDestinations.test": {
    needs: ["backup", "admin"],
    reach: "database",
    deployment: false,
    does: "try a destination of archives",
  },
  "tokens.create": {
    needs: ["admin"],
    reach: "covered",
    deployment: true,
    does: "mint tokens within its own permissions, databases and expiry",
  },
  "tokens.list": {
    needs: ["admin"],
    reach: "covered",
    deployment: true,
    does: "list tokens that are within its own permissions and databases",
  },
  "tokens.revoke": {
    needs: ["admin"],
    reach: "covered",
    deployment: true,
    does: "revoke tokens that are within its own permissions and databases",
  },
  "webhooks.create": {
    needs: ["admin"],
    reach: "organization",
    deployment: false,
    does: "make webhooks",
  },
  "webhooks.list": {
    needs: ["admin"],
    reach: "organization",
    deployment: false,
    does: "list webhooks",
  },
  "webhooks.get": {
    needs: ["admin"],
    reach: "organization",
    deployment: false,
    does: "see a webhook",
  },
  "webhooks.update": {
    needs: ["admin"],
    reach: "organization",
    deployment: false,
    does: "change a webhook",
  },
  "webhooks.delete": {
    needs: ["admin"],
    reach: "organization",
    deployment: false,
    does: "delete a webhook",
  },
  "webhooks.rotateSecret": {
    needs: ["admin"],
    reach: "organization",
    deployment: false,
    does: "give a webhook a new secret",
  },
  "webhooks.test": {
    needs: ["admin"],
    reach: "organization",
    deployment: false,
    does: "test a webhook",
  },
  "webhooks.deliveries": {
    needs: ["admin"],
    reach: "organization",
    deployment: false,
    does: "see what was delivered to a webhook",
  },
  "jobs.get": { needs: ["read", "admin"], reach: "covered", deployment: false, does: "follow a job" },
  "jobs.cancel": { needs: ["backup", "admin"], reach: "covered", deployment: false, does: "cancel a job" },
  "analytics.get": {
    needs: ["read", "admin"],
    reach: "organization",
    deployment: false,
    does: "see the organization's usage",
  },
  "metrics.get": {
    needs: ["metrics"],
    reach: "organization",
    deployment: false,
    does: "read the organization's metrics",
  },
};

/**
 * `forbidden` when the scopes do not allow the command. Two things are left to the command itself: to check whether the named database is
 * covered (otherwise the answer is `not-found`, as for a database that does not exist), and to answer only what is covered.
 */
export function refuses(scopes: Scopes, command: CommandName | "exchange"): Failure | undefined {
  const rule = POLICY[command];
  if (scopes.keyPrefix !== null && command !== "exchange") {
    return failure("forbidden", "A token with a key prefix can open databases and nothing else.");
  }
  if (!rule.needs.some((permission) => allows(scopes, permission))) {
    return failure(
      "forbidden",
      `To ${rule.does} a token needs the permission ${rule.needs.join(" or ")}; this one has ${scopes.permissions.join(", ")}.`,
    );
  }
  if (rule.reach === "organization" && scopes.databases !== "all") {
    return failure("forbidden", `To ${rule.does} a token must be for all databases; this one lists some.`);
  }
  return undefined;
}

/** As `refuses`, for the deployment's token. */
export function refusesDeployment(command: CommandName): Failure | undefined {
  if (POLICY[command].deployment) return undefined;
  return failure(
    "forbidden",
    "The deployment's token manages organizations and their tokens; use a token of the organization.",
  );
}

/** For commands that create and list organizations. */
export function refusesIndex(caller: Caller): Failure | undefined {
  if (caller.kind === "deployment") return undefined;
  return failure("forbidden", "Organizations are created and listed with the deployment's token.");
}
