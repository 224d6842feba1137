/** What a server says when it is ready: for people, and for scripts. */
import type { Tenant } from "./tenant.ts";

/** The line that scripts rely on. */
export interface Announcement extends Tenant {
  /** Where the server listens. */
  readonly url: string;
  /** What clients open: the proxy's address if there is one. */
  readonly connectUrl: string;
}

export interface Announced extends Tenant {
  /** Where the server listens. */
  readonly url: string;
  /** Where clients reach the server. */
  readonly publicUrl: string;
  /** The data folder. */
  readonly folder: string;
}

/** One line of JSON: an `Announcement` with these six members. */
export function announcementJson(announced: Announced): string {
  const { url, databaseId, accessToken, organizationId, adminToken } = announced;
  const connectUrl = connectUrlOf(announced);
  const line: Announcement = { url, connectUrl, databaseId, accessToken, organizationId, adminToken };
  return JSON.stringify(line);
}

export function announcement(announced: Announced): string {
  const { url, publicUrl, folder, accessToken, organizationId, adminToken } = announced;
  const behindProxy = publicUrl === url ? "" : `\n  listening on  ${url}`;
  const connectUrl = connectUrlOf(announced);
  const program = [
    `const kv = await Deno.openKv("${connectUrl}")`,
    `await kv.set(["greeting"], "Hello from Cairn")`,
    `console.log(await kv.get(["greeting"]))`,
    "kv.close()",
  ].join("; ");
  return `
Cairn is running.

  connect URL   ${connectUrl}
  access token  ${accessToken}
  organization  ${organizationId}
  admin token   ${adminToken}
  data folder   ${folder}${behindProxy}

Try it with Deno, in another shell:

  DENO_KV_ACCESS_TOKEN='${accessToken}' npx deno eval --unstable-kv '${program}'

From Node, with npm's @deno/kv:

  import { openKv } from "@deno/kv";
  const kv = await openKv("${connectUrl}", { accessToken: "${accessToken}" });

More databases and tokens, with the admin token, which may do everything in its organization; keep it to yourself:

  curl -sS ${publicUrl}/api/organizations/${organizationId}/databases -H 'Authorization: Bearer ${adminToken}' -d '{"name":"orders"}'

The API's reference is at ${publicUrl}/api. Ctrl-C stops it.
`;
}

function connectUrlOf({ publicUrl, databaseId }: Announced): string {
  return `${publicUrl}/databases/${databaseId}/connect`;
}
