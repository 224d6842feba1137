/**
 * What the deployment binds, all of it. `wrangler.toml` and `src/local/workerd-config.ts` provide it; whoever needs a part of it says
 * which: `Pick<Env, "DATABASES">`.
 */
import type { DeploymentSecrets } from "../directory/deployment.ts";
import type { DatabaseRole, IndexRole, OrganizationRole } from "./roles.ts";

export interface Env extends DeploymentSecrets {
  readonly DATABASES: DurableObjectNamespace<DatabaseRole>;
  readonly ORGANIZATIONS: DurableObjectNamespace<OrganizationRole>;
  readonly INDEX: DurableObjectNamespace<IndexRole>;

  /** `kid:base64,…`, 32 bytes each: the first encrypts the secrets of backup destinations and webhooks, all decrypt them. */
  readonly CAIRN_ENCRYPTION_KEYS?: string | null;
  /** "any": backups and events may go to http and private addresses too, as they may on somebody's own machine. */
  readonly CAIRN_DESTINATIONS?: string;
  /** The deployment's own bucket for backups. */
  readonly BACKUPS?: R2Bucket;

  /** The way out to backup destinations, where there is one of its own; else the global fetch is. */
  readonly DESTINATIONS?: Fetcher;
  /** The way out to the endpoints of webhooks, where there is one of its own; else the global fetch is. */
  readonly WEBHOOKS?: Fetcher;
  /** Tells why a host could not be reached, under `npm start`. */
  readonly REASONS?: Fetcher;
  /** Takes requests through the proxy of the server's environment, if that names one. */
  readonly PROXY?: Fetcher;
  /** Which those are: `ProxiedRequests`, as JSON. */
  readonly CAIRN_PROXIED?: string | null;

  /** Tells how much room the disk has, under `npm start`. On Cloudflare there is no such disk. */
  readonly DISK?: Fetcher;
}
