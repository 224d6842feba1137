/** How a service asks the object of a database, which answers each command with an answer of the command's kind. */
import { type Failure, failure, isFailure } from "../core/errors.ts";
import type { DatabaseControl } from "../contracts/management.ts";
import type { Organization } from "./organization.ts";
import type { OrganizationParts } from "./organization-parts.ts";
import type { Admitted } from "./scopes.ts";

interface Answer {
  readonly ok: true;
  readonly kind: string;
}

/** `who`: the database must be one that the caller may see. */
export async function askDatabase<Of extends Answer, Kind extends Of["kind"]>(
  { organization, parts }: { readonly organization: Organization; readonly parts: OrganizationParts },
  who: Admitted,
  databaseId: string,
  kind: Kind,
  ask: (database: DatabaseControl) => Promise<Of | Failure>,
): Promise<Extract<Of, { readonly kind: Kind }> | Failure> {
  const database = organization.database(who, databaseId);
  if (isFailure(database)) return database;
  const answer = await ask(parts.database(databaseId, database));
  if (!answer.ok) return answer;
  // The kind was just compared, which the compiler does not see for a type that is a parameter.
  if (answer.kind === kind) return answer as Extract<Of, { readonly kind: Kind }>;
  return failure("internal", `The database answered another question: ${answer.kind}.`);
}
