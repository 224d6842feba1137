/**
 * Everything that the deployment binds. `wrangler.toml` and `src/local/workerd-config.ts` provide it. Code that needs a part names that
 * part: `Pick<Env, "DATABASES">`.
 */
import type { DeploymentSecrets } from "../directory/deployment.ts";
import type { DatabaseRole, IndexRole, OrganizationRole } from "./roles.ts";

export interface Env extends DeploymentSecrets {
  readonly DATABASES: DurableObjectNamespace<DatabaseRole>;
  readonly ORGANIZATIONS: DurableObjectNamespace<OrganizationRole>;
  readonly INDEX: DurableObjectNamespace<IndexRole>;

  /** `kid:base64,…`, 32 bytes each. The first key encrypts the secrets of backup destinations and webhooks. All keys decrypt them. */
  readonly CAIRN_ENCRYPTION_KEYS?: string | null;
  /** "any": backups and events may also go to http and private addresses, for use on one's own machine. */
  readonly CAIRN_DESTINATIONS?: string;
  /** The deployment's own bucket for backups. */
  readonly BACKUPS?: R2Bucket;

  /** The folder for archives under `npm start`, in S3's protocol (`src/local/archive-folder.ts`). */
  readonly ARCHIVES?: Fetcher;

  /** The way out to backup destinations, where there is a separate one; otherwise the global fetch is used. */
  readonly DESTINATIONS?: Fetcher;
  /** The way out to the endpoints of webhooks, where there is a separate one; otherwise the global fetch is used. */
  readonly WEBHOOKS?: Fetcher;
  /** Tells why a host could not be reached, under `npm start`. */
  readonly REASONS?: Fetcher;
  /** Sends requests through the proxy of the server's environment, if there is one. */
  readonly PROXY?: Fetcher;
  /** Which requests go through the proxy: `ProxiedRequests`, as JSON. */
  readonly CAIRN_PROXIED?: string | null;

  /** Tells the figures of the disk, under `npm start`. On Cloudflare there is no such disk. */
  readonly DISK?: Fetcher;
}
