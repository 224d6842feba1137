/** What a server says when it is ready: for people, and for scripts. */
import type { RunningServer } from "./server.ts";

/** One line of JSON; scripts depend on these four members. */
export function announcementJson(server: RunningServer): string {
  return JSON.stringify({
    url: server.url,
    connectUrl: server.connectUrl,
    databaseId: server.secrets.CAIRN_DATABASE_ID,
    accessToken: server.secrets.CAIRN_ACCESS_TOKEN,
  });
}

export function announcement(server: RunningServer): string {
  const { connectUrl, folder } = server;
  const accessToken = server.secrets.CAIRN_ACCESS_TOKEN;
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
  data folder   ${folder}

Try it with Deno, in another shell:

  DENO_KV_ACCESS_TOKEN='${accessToken}' npx deno eval --unstable-kv '${program}'

From Node, with npm's @deno/kv:

  import { openKv } from "@deno/kv";
  const kv = await openKv("${connectUrl}", { accessToken: "${accessToken}" });

Ctrl-C stops it.
`;
}
