/** What the directory's objects find in their environment. */
import type { DatabaseControl } from "../core/management.ts";
import type { IndexObject } from "./index-object.ts";
import type { OrganizationObject } from "./organization-object.ts";

/** A class that a database's object can be: what the directory asks of it. */
export type ControlledDatabase = DatabaseControl & Rpc.DurableObjectBranded;

export interface DirectoryEnv {
  readonly DATABASES: DurableObjectNamespace<ControlledDatabase>;
  readonly ORGANIZATIONS: DurableObjectNamespace<OrganizationObject>;
  readonly INDEX: DurableObjectNamespace<IndexObject>;
}
