/** What the deployment binds. `wrangler.toml` and `src/local/workerd-config.ts` provide it. */
import type { DeploymentSecrets } from "../directory/deployment.ts";
import type { DatabaseObject } from "./database-object.ts";
import type { DirectoryEnv } from "./directory-env.ts";

/** What is known of the ways out to what tenants enter, under `npm start`. */
export interface OutboundEnv {
  /** Tells why a host could not be reached. */
  readonly REASONS?: Fetcher;
  /** Takes requests through the proxy of the server's environment, if that names one. */
  readonly PROXY?: Fetcher;
  /** Which those are: `ProxiedRequests`, as JSON. */
  readonly CAIRN_PROXIED?: string | null;
}

/** What backups need of the environment. */
export interface BackupEnv extends OutboundEnv {
  /** `kid:base64,…`, 32 bytes each: the first encrypts the secrets of backup destinations, all decrypt them. */
  readonly CAIRN_ENCRYPTION_KEYS?: string | null;
  /** "any": backups may go to http and private addresses too, as they may on somebody's own machine. */
  readonly CAIRN_DESTINATIONS?: string;
  /** The way out to backup destinations, where there is one of its own; else the global fetch is. */
  readonly DESTINATIONS?: Fetcher;
  /** The deployment's own bucket for backups. */
  readonly BACKUPS?: R2Bucket;
}

export interface WebhookEnv extends OutboundEnv {
  /** The way out to the endpoints of webhooks, where there is one of its own; else the global fetch is. */
  readonly WEBHOOKS?: Fetcher;
}

/** Where objects are stored. */
export interface StorageEnv {
  /** Tells how much room the disk has, under `npm start`. On Cloudflare there is no such disk. */
  readonly DISK?: Fetcher;
}

export interface Env extends Omit<DirectoryEnv, "DATABASES">, DeploymentSecrets, BackupEnv, WebhookEnv, StorageEnv {
  readonly DATABASES: DurableObjectNamespace<DatabaseObject>;
}
