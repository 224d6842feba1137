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
}
