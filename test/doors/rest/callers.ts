/** Every kind of caller of a database's own routes, for the tests that try all routes with all of them. */
import { CAIRN_DEPLOYMENT_TOKEN } from "../../support/deployment-secrets.ts";
import { RestDatabase } from "./rest-client.ts";

/**
 * `other`: every permission, at another tenant. One permission each for all databases. `elsewhere`: every permission for another database.
 * `prefix`: read and write under the key prefix `mine`. `data`: a data token with both permissions, which is for one database.
 */
export const CALLERS = [
  "other",
  "read",
  "write",
  "admin",
  "backup",
  "metrics",
  "elsewhere",
  "prefix",
  "deployment",
  "data",
] as const;
export type Caller = (typeof CALLERS)[number];

/** A token of each caller but `data`, at the tenant of this database. */
export async function callersOf(tenant: RestDatabase): Promise<Map<Caller, string>> {
  const tokens = new Map<Caller, string>();
  const elsewhere = await tenant.another();
  tokens.set("other", (await RestDatabase.make()).token);
  for (const permission of ["read", "write", "admin", "backup", "metrics"] as const)
    tokens.set(permission, (await tenant.newToken({ permissions: [permission] })).token);
  const all = ["read", "write", "admin", "backup"];
  tokens.set("elsewhere", (await tenant.newToken({ permissions: all, databases: [elsewhere.id] })).token);
  tokens.set("prefix", (await tenant.newToken({ keyPrefix: ["mine"] })).token);
  tokens.set("deployment", CAIRN_DEPLOYMENT_TOKEN);
  return tokens;
}
