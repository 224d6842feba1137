/**
 * Which database an object holds, which organization it belongs to, and whether it was deleted. The object of a deleted database keeps a
 * tombstone for good, so that its id is never used again and no late request brings it back.
 */
import type { DatabaseSetup } from "../contracts/management.ts";
import type { ObjectTables } from "./object-tables.ts";

/** null: the object is no organization's database, or nothing of it is left. */
export function setupOf(tables: ObjectTables): DatabaseSetup | null {
  if (!tables.has("identity")) return null;
  const { setup } = tables.storage.sql.exec<{ setup: string }>("SELECT setup FROM identity").one();
  // Only `claim` writes it.
  return JSON.parse(setup) as DatabaseSetup;
}

/** Makes an empty object this database. In the caller's transaction. */
export function claim(tables: ObjectTables, setup: DatabaseSetup): void {
  tables.make("identity");
  tables.storage.sql.exec("INSERT INTO identity (setup) VALUES (?1)", JSON.stringify(setup));
}

/**
 * Calling this again changes nothing. `isSending`: something was on its way to the database's backup. That is remembered until everything
 * is deleted.
 */
export function bury(
  tables: ObjectTables,
  { isSending }: { readonly isSending: boolean } = { isSending: false },
): void {
  tables.make("tombstone");
  if (isSending) tables.storage.sql.exec("INSERT INTO tombstone (buried) VALUES (1)");
}

/** Whether something was on its way to the database's backup when the database was deleted. */
export function wasSending(tables: ObjectTables): boolean {
  return tables.storage.sql.exec("SELECT 1 FROM tombstone LIMIT 1").toArray().length > 0;
}
