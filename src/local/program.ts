/** What `npm start` and `npm run dev` share as programs: options, signals, exit codes. */
import { type Failure, isFailure } from "../core/errors.ts";
import { announcement, announcementJson } from "./announcement.ts";
import { publicAddressFrom, type PublicAddress } from "../core/public-address.ts";
import { helpText, parseOptions, type Options } from "./options.ts";
import { secretNames, type SecretName } from "./secrets.ts";
import { startServer, type StartUpstream } from "./server.ts";
import { flawOfAccessToken, TenantKeeper } from "./tenant.ts";

/**
 * `dataFolder`: where below the folder of --persist-to this program's own data lies, with the file of what its first start has made. Runs
 * until a signal (exit code 0, everything ended in order) or until it cannot run (exit code 1, with the reason on stderr). A second
 * signal does not wait for unfinished requests.
 */
export async function runProgram(
  script: "npm start" | "npm run dev",
  dataFolder: string,
  upstream: () => Promise<StartUpstream | Failure>,
): Promise<void> {
  // Only its owner can read what is written from here on, also by workerd and wrangler.
  process.umask(0o077);
  // The reader of the printed text, at a pipe's other end, may have ended. The server must go on for its clients.
  for (const output of [process.stdout, process.stderr]) output.on("error", () => undefined);
  const options = parseOptions(process.argv.slice(2));
  if (isFailure(options)) return fail(options);
  if (options.help) {
    process.stdout.write(`${helpText(script)}\n`);
    return;
  }
  const accessToken = options.accessToken ?? process.env["CAIRN_ACCESS_TOKEN"];
  const givenBy = options.accessToken === undefined ? "CAIRN_ACCESS_TOKEN" : "--access-token";
  const flaw = accessToken === undefined ? undefined : flawOfAccessToken(accessToken, givenBy);
  if (flaw !== undefined) return fail(flaw);
  const publicAddress = publicAddressOf(options);
  if (isFailure(publicAddress)) return fail(publicAddress);
  const secrets: Partial<Record<SecretName, string>> = {};
  for (const name of secretNames) {
    const given = process.env[name];
    if (given !== undefined) secrets[name] = given;
  }
  const signal = nextSignal();
  const startUpstream = await upstream();
  if (isFailure(startUpstream)) return fail(startUpstream);
  const preparation = new TenantKeeper("tenant.json", accessToken, (sentence) => process.stderr.write(`${sentence}\n`));
  const server = await Promise.race([
    startServer({ ...options, dataFolder, publicAddress, secrets, startUpstream, preparation }),
    signal,
  ]);
  // What was started so far ends with this process, and the next start continues.
  if (server === "signal") process.exit(0);
  if (isFailure(server)) return fail(server);
  const announced = {
    ...preparation.tenant,
    url: server.url,
    publicUrl: publicAddress.url ?? server.url,
    folder: server.folder,
  };
  process.stdout.write(options.json ? `${announcementJson(announced)}\n` : announcement(announced));

  const ending = await Promise.race([signal, server.givenUp]);
  void nextSignal().then(() => process.exit(1));
  await server.close();
  if (ending !== "signal") return fail(ending);
  process.exit(0);
}

/** The command line has priority over the environment. */
function publicAddressOf({ publicUrl, trustProxy }: Options): PublicAddress | Failure {
  return publicAddressFrom({
    CAIRN_PUBLIC_URL: publicUrl ?? process.env["CAIRN_PUBLIC_URL"],
    CAIRN_TRUST_PROXY: trustProxy ? "true" : process.env["CAIRN_TRUST_PROXY"],
  });
}

function nextSignal(): Promise<"signal"> {
  return new Promise((resolve) => {
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(name, () => resolve("signal"));
  });
}

function fail(failure: Failure): void {
  process.stderr.write(`${failure.message}\n`);
  process.exit(1);
}
