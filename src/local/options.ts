/** The options of `npm start` and `npm run dev`. */
import { parseArgs } from "node:util";
import { failure, type Failure } from "../core/errors.ts";
import { publicUrlOf } from "../core/public-address.ts";

export interface Options {
  readonly port: number;
  readonly host: string;
  /** The data folder as given: relative to the working directory. */
  readonly persistTo: string;
  readonly accessToken: string | undefined;
  /** The URL under which clients reach the server when a proxy is between them, without a slash at the end. */
  readonly publicUrl: string | undefined;
  readonly trustProxy: boolean;
  readonly json: boolean;
  readonly help: boolean;
}

export const DEFAULT_PORT = 4512;

export function helpText(script: "npm start" | "npm run dev"): string {
  return `Usage: ${script} -- [options]

  --port <number>         port to listen on (${DEFAULT_PORT}; 0 takes a free one)
  --host <name>           address to listen on (127.0.0.1; 0.0.0.0 for every one)
  --persist-to <folder>   where the data lies (.cairn)
  --access-token <token>  a text of your own, of 8 to 512 characters, that stands for the database's
                          access token, for this run; CAIRN_ACCESS_TOKEN says the same without
                          showing it in the list of processes
  --public-url <url>      where clients reach the server through a proxy, as https://kv.example.com:
                          links in answers and what is printed begin with it (CAIRN_PUBLIC_URL)
  --trust-proxy           take that from X-Forwarded-Proto and X-Forwarded-Host instead: only when
                          all requests come through a proxy that sets them (CAIRN_TRUST_PROXY=true)
  --json                  print one line of JSON when ready: url, connectUrl, databaseId, accessToken,
                          organizationId, adminToken
  --help                  print this

Environment: CAIRN_DEPLOYMENT_TOKEN, CAIRN_SIGNING_KEYS, CAIRN_ENCRYPTION_KEYS. What is not given is
made at the first start and kept in secrets.json in the data folder. Backups may go to any address,
this network's too; CAIRN_DESTINATIONS=public keeps them to https and public hosts. They go through
the proxy that HTTPS_PROXY or HTTP_PROXY names, except to hosts in NO_PROXY. Writes leave
64 MiB of the disk free, or a tenth of a smaller one; CAIRN_DISK_RESERVE=256 makes it 256 MiB.
Archives of databases lie in the data folder, or in the folder that CAIRN_ARCHIVES names. One
organization takes at most half of what it has there and what is free; CAIRN_ARCHIVE_SHARE=90% makes
it 90 %, and CAIRN_ARCHIVE_SHARE=20480 at most 20480 MiB.`;
}

/** `invalid` with a sentence that names the option. */
export function parseOptions(args: readonly string[]): Options | Failure {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        port: { type: "string", default: String(DEFAULT_PORT) },
        host: { type: "string", default: "127.0.0.1" },
        "persist-to": { type: "string", default: ".cairn" },
        "access-token": { type: "string" },
        "public-url": { type: "string" },
        "trust-proxy": { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    // Node's first sentence names the option. The rest is advice for programmers.
    const sentence = error.message.split(/\.?[ \n](?=[A-Z])/, 1)[0] ?? error.message;
    const forgotten = sentence.startsWith("Unexpected argument") ? ' Options of npm scripts come after "--".' : "";
    return failure("invalid", `${sentence}.${forgotten} --help lists the options.`);
  }
  if (!/^\d{1,5}$/.test(values.port) || Number(values.port) > 65_535) {
    return failure("invalid", `--port must be a number from 0 to 65535, got "${values.port}".`);
  }
  for (const name of ["host", "persist-to", "access-token"] as const) {
    if (values[name] === "") return failure("invalid", `--${name} must not be empty.`);
  }
  const publicUrl = values["public-url"] === undefined ? undefined : publicUrlOf(values["public-url"]);
  if (typeof publicUrl === "object") return failure("invalid", `--public-url ${publicUrl.message}`);
  return {
    port: Number(values.port),
    // In a URL an IPv6 address stands in brackets.
    host: values.host.replace(/^\[(.+)\]$/, "$1"),
    persistTo: values["persist-to"],
    accessToken: values["access-token"],
    publicUrl,
    trustProxy: values["trust-proxy"],
    json: values.json,
    help: values.help,
  };
}
