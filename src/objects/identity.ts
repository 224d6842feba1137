/**
 * Who a database's object is: which database, whose, or that it was deleted. A deleted one keeps a tombstone for good, so that its
 * id is never used again and no late request brings it back.
 */
import type { DatabaseSetup } from "../contracts/management.ts";
import { hasTable } from "../core/migrations.ts";
import type { Sql } from "../core/storage.ts";

export type Identity =
  | { readonly state: "unknown" }
  | { readonly state: "live"; readonly setup: DatabaseSetup }
  /** With its setup as long as not everything of it is gone. */
  | { readonly state: "deleted"; readonly setup: DatabaseSetup | null };

export function identityOf(sql: Sql): Identity {
  const isBuried = hasTable(sql, "tombstone");
  if (!hasTable(sql, "identity")) return isBuried ? { state: "deleted", setup: null } : { state: "unknown" };
  const { setup } = sql.exec<{ setup: string }>("SELECT setup FROM identity").one();
  // Written by `claim` alone.
  return { state: isBuried ? "deleted" : "live", setup: JSON.parse(setup) as DatabaseSetup };
}

/** Makes an unknown object this database's. */
export function claim(sql: Sql, setup: DatabaseSetup): void {
  sql.exec("CREATE TABLE identity (setup TEXT NOT NULL)");
  sql.exec("INSERT INTO identity (setup) VALUES (?1)", JSON.stringify(setup));
}

/** `sending`: something was on its way to its backup just then, which is remembered until everything of it is gone. */
export function bury(sql: Sql, { sending }: { readonly sending: boolean } = { sending: false }): void {
  sql.exec("CREATE TABLE IF NOT EXISTS tombstone (buried INTEGER)");
  if (sending) sql.exec("INSERT INTO tombstone (buried) VALUES (1)");
}

/** Whether something was on its way to its backup when it was deleted. */
export function wasSending(sql: Sql): boolean {
  return sql.exec("SELECT 1 FROM tombstone LIMIT 1").toArray().length > 0;
}
