/** What the deployment binds. `wrangler.toml` and `src/local/workerd-config.ts` provide it. */
import type { DeploymentSecrets } from "../directory/deployment.ts";
import type { DatabaseObject } from "./database-object.ts";
import type { DirectoryEnv } from "./directory-env.ts";

export interface Env extends Omit<DirectoryEnv, "DATABASES">, DeploymentSecrets {
  readonly DATABASES: DurableObjectNamespace<DatabaseObject>;
}
