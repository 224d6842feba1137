/**
 * A whole server on one machine: the data folder locked, the Worker built, a server process kept running, and the front before it. `npm
 * start`, `npm run dev`, tests and the bench pass different options to it.
 */
import { readFileSync, realpathSync } from "node:fs";
import { join, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { type Failure, isFailure } from "../core/errors.ts";
import type { AdmissionParts } from "../doors/kv-connect/admission.ts";
import type { PublicAddress } from "../core/public-address.ts";

import { admissionBy } from "./admission.ts";
import type { RunningAt } from "./api-client.ts";
import { makeRoomToStart } from "./ballast.ts";
import { shareLimitOf } from "./archive-shares.ts";
import { bundleWorker } from "./bundle.ts";
import { diskReserveOf } from "./disk-space.ts";
import { isOpenToOthers, lockFolder } from "./folder-lock.ts";
import { Front } from "./front/front.ts";
import { capacityFor, descriptorLimit } from "./front/capacity.ts";
import { proxiedRequests, proxySettings } from "./outbound-proxy.ts";
import { deploymentSecrets, type SecretName, type Secrets } from "./secrets.ts";
import { KeptUpstream, type Upstream } from "./upstream.ts";
import { trustedCertificates } from "./trusted-certificates.ts";
import { compatibilityDateOf, reachOf, workerdConfig, type Deployment } from "./workerd-config.ts";
import { orphanGone, startWorkerd, type WorkerdOptions } from "./workerd-process.ts";

export const repository = join(import.meta.dirname, "../..");

/** Variables for the server process's environment, by name. */
export type Variables = Readonly<Record<string, string>>;

/** Starts one server process in the folder, which is locked and given as an absolute path. */
export type StartUpstream = (folder: string, variables: Variables) => Promise<Upstream | Failure>;

/** What is done with the server process before clients reach it. `folder` is the server's own data folder, locked and absolute. */
export interface Preparation {
  /** Variables for the process besides the secrets. */
  variables(folder: string): Variables | Failure;
  /**
   * Asks the running process. If `variables` returns something else afterwards, the process is started again, and this is called again.
   */
  settle(runningAt: RunningAt, folder: string, secrets: Secrets): Promise<Failure | undefined>;
}

export interface ServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly persistTo: string;
  /** Where below the folder this server's own data lies: two servers of one folder share its secrets. By default ".". */
  readonly dataFolder?: string;
  /** Missing secrets are taken from the folder or made. */
  readonly secrets: Partial<Record<SecretName, string>>;
  readonly startUpstream: StartUpstream;
  /** How clients reach the front. Without it, as their requests say. */
  readonly publicAddress?: PublicAddress;
  readonly preparation?: Preparation;
}

export interface RunningServer {
  /** Where clients reach the front, without a slash at the end. */
  readonly url: string;
  /** The folder of the server's own data, as an absolute path. */
  readonly folder: string;
  readonly secrets: Secrets;
  /** The server process itself, without the front. undefined while it is being started again. */
  readonly upstream: Upstream | undefined;
  /** Resolves only when the server process has died too often. The server must still be closed then. */
  readonly givenUp: Promise<Failure>;
  /** Lets requests under way finish for `graceMs` (default 2,000), then ends everything. A second call waits for the first. */
  close(graceMs?: number): Promise<void>;
}

/** How long finished answers may take to leave the front after the server process has ended. */
const LAST_BYTES_MS = 500;

/** Resolves when the server answers. After a failure nothing runs and nothing is locked. */
export async function startServer(options: ServerOptions): Promise<RunningServer | Failure> {
  let upstream = (): Upstream | undefined => undefined;
  let admission = (): AdmissionParts | undefined => undefined;
  const capacity = capacityFor(descriptorLimit());
  const front = await Front.listen(options.host, options.port, () => upstream(), capacity, {
    admission: () => admission(),
  });
  if (isFailure(front)) return front;
  const url = `http://${urlHost(options.host)}:${front.port}`;
  const dataFolder = join(options.persistTo, options.dataFolder ?? ".");
  makeRoomToStart(dataFolder);
  const lock = lockFolder(dataFolder, url);
  if (isFailure(lock)) {
    await front.close(0);
    return lock;
  }
  const release = async (): Promise<void> => {
    await front.close(LAST_BYTES_MS);
    lock.release();
  };

  const [whole, folder] = [realpathSync(options.persistTo), realpathSync(dataFolder)];
  if (isOpenToOthers(whole)) {
    process.stderr.write(
      `Other users of this machine can look into the data folder ${whole}. To keep them out: chmod 700 ${whole}\n`,
    );
  }
  const ready = await startInside(whole, folder, options);
  if (isFailure(ready)) {
    await release();
    return ready;
  }
  const close = async (graceMs: number): Promise<void> => {
    front.drain();
    await ready.kept.stop(graceMs);
    await release();
  };
  let closed: Promise<void> | undefined;
  upstream = () => ready.kept.current;
  const parts = admissionBy(ready.secrets);
  admission = () => parts;
  return {
    url,
    folder,
    secrets: ready.secrets,
    get upstream() {
      return ready.kept.current;
    },
    givenUp: ready.kept.givenUp,
    close: (graceMs = 2000) => (closed ??= close(graceMs)),
  };
}

/** `whole`: the folder that contains `folder`, and the secrets. */
async function startInside(
  whole: string,
  folder: string,
  options: ServerOptions,
): Promise<{ readonly secrets: Secrets; readonly kept: KeptUpstream } | Failure> {
  const { host, publicAddress } = options;
  const reachedBy = [host, ...(publicAddress?.url ? [new URL(publicAddress.url).hostname] : [])];
  const secrets = deploymentSecrets(whole, options.secrets, reachedBy);
  if (isFailure(secrets)) return secrets;
  const orphan = await orphanGone(folder);
  if (orphan !== undefined) return orphan;
  for (;;) {
    const variables = variablesOf(folder, options, secrets);
    if (isFailure(variables)) return variables;
    const kept = await KeptUpstream.start(
      () => options.startUpstream(folder, variables.all),
      (reason) => {
        process.stderr.write(`${reason}\nStarting it again.\n`);
      },
    );
    if (isFailure(kept)) return kept;
    const flaw = await options.preparation?.settle(() => kept.current?.address, folder, secrets);
    const wanted = flaw ?? variablesOf(folder, options, secrets);
    if (!isFailure(wanted) && isDeepStrictEqual(wanted, variables)) return { secrets, kept };
    await kept.stop(0);
    if (isFailure(wanted)) return wanted;
  }
}

function variablesOf(
  folder: string,
  { preparation, publicAddress }: ServerOptions,
  secrets: Secrets,
): { readonly all: Variables } | Failure {
  const others = preparation?.variables(folder) ?? {};
  if (isFailure(others)) return others;
  const address = {
    CAIRN_PUBLIC_URL: publicAddress?.url ?? "",
    CAIRN_TRUST_PROXY: publicAddress?.trustsProxy === true ? "true" : "",
  };
  return { all: { ...secrets, ...address, ...others } };
}

export interface OnWorkerdOptions extends WorkerdOptions {
  /** Flags of V8, for measurements. */
  readonly v8?: readonly string[];
  /** Tests start many servers, and build each Worker once for all of them. */
  readonly build?: typeof bundleWorker;
}

/** Builds the Worker once and runs it on plain workerd with its disk storage. `invalid` when it does not build. */
export async function onWorkerd(
  entry: string,
  deployment: Deployment,
  { v8 = [], build = bundleWorker, ...options }: OnWorkerdOptions = {},
): Promise<StartUpstream | Failure> {
  const reserve = diskReserveOf(process.env["CAIRN_DISK_RESERVE"]);
  if (reserve !== null && typeof reserve === "object") return reserve;
  const archiveShare = shareLimitOf(process.env["CAIRN_ARCHIVE_SHARE"]);
  if (archiveShare !== null && isFailure(archiveShare)) return archiveShare;
  const proxy = proxySettings(process.env);
  if (proxy !== null && isFailure(proxy)) return proxy;
  const worker = await build(entry);
  if (typeof worker !== "string") return worker;
  const date = compatibilityDateOf(readFileSync(join(repository, "wrangler.toml"), "utf8"));
  const reach = reachOf(process.env["CAIRN_DESTINATIONS"]);
  const trusted = trustedCertificates(process.env["NODE_EXTRA_CA_CERTS"], (sentence) =>
    process.stderr.write(`${sentence}\n`),
  );
  const hasProxy = proxy !== null;
  const config = workerdConfig(deployment, date, { reach, trustsMore: trusted !== null, hasProxy, v8Flags: v8 });
  const files = { worker, config, trusted, proxy };
  const proxied = proxy === null ? {} : { CAIRN_PROXIED: JSON.stringify(proxiedRequests(proxy)) };
  return (folder, variables) =>
    startWorkerd(
      folder,
      files,
      { CAIRN_DESTINATIONS: reach, ...process.env, ...proxied, ...variables },
      {
        archives: archivesOf(process.env["CAIRN_ARCHIVES"]),
        archiveShare,
        ...options,
        disk: { reserve, ...options.disk },
      },
    );
}

/** undefined: the folder in the data folder. */
function archivesOf(text: string | undefined): string | undefined {
  return text === undefined || text === "" ? undefined : resolve(text);
}

function urlHost(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return host.includes(":") ? `[${host}]` : host;
}
