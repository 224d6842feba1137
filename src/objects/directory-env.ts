/** What the directory's objects find in their environment. */
import type { BackupAnswer, BackupCommand } from "../contracts/backup-commands.ts";
import type { UnixMs } from "../core/clock.ts";
import type { Failure } from "../core/errors.ts";
import type { DatabaseControl } from "../contracts/management.ts";
import type { RestoreAnswer, RestoreCommand } from "../contracts/restore-commands.ts";
import type { IndexObject } from "./index-object.ts";
import type { OrganizationObject } from "./organization-object.ts";

/** The same with the time of whoever asks (`clock-watch.ts`). */
interface TimedControl extends DatabaseControl {
  backup(command: BackupCommand, askedAt?: UnixMs): Promise<BackupAnswer>;
  restore(command: RestoreCommand, askedAt?: UnixMs): Promise<RestoreAnswer | Failure>;
}

/** A class that a database's object can be: what the directory asks of it. */
export type ControlledDatabase = TimedControl & Rpc.DurableObjectBranded;

export interface DirectoryEnv {
  readonly DATABASES: DurableObjectNamespace<ControlledDatabase>;
  readonly ORGANIZATIONS: DurableObjectNamespace<OrganizationObject>;
  readonly INDEX: DurableObjectNamespace<IndexObject>;
}
