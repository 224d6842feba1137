/** What the deployment binds. `wrangler.toml` and `src/local/workerd-config.ts` provide it. */
import type { DatabaseObject } from "./database-object.ts";

export interface Env {
  readonly DATABASES: DurableObjectNamespace<DatabaseObject>;
  /** UUID of the one database that this deployment serves. */
  readonly CAIRN_DATABASE_ID?: string;
  /** What opens it. */
  readonly CAIRN_ACCESS_TOKEN?: string;
  /** `kid:base64,…`: the first signs data tokens, all are accepted. */
  readonly CAIRN_SIGNING_KEYS?: string;
  /** `kid:base64,…`, 32 bytes each: the first encrypts the secrets of backup destinations, all decrypt them. */
  readonly CAIRN_ENCRYPTION_KEYS?: string;
  /** "any": backups may go to http and private addresses too, as they may on somebody's own machine. */
  readonly CAIRN_DESTINATIONS?: string;
  /** The way out to backup destinations, where there is one of its own; else the global fetch is. */
  readonly DESTINATIONS?: Fetcher;
  /** The deployment's own bucket for backups. */
  readonly BACKUPS?: R2Bucket;
}
