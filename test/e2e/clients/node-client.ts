/** `@deno/kv` from npm, in this process, over HTTP/1.1. */
import { KvU64, openKv } from "@deno/kv";
import type { TestServer } from "../../support/server.ts";
import type { Client } from "./client.ts";
import { obey } from "./obey.ts";

/** `supportedVersions`: of the protocol; all if not given. */
export async function startNode(
  { connectUrl, accessToken }: Pick<TestServer, "connectUrl" | "accessToken">,
  supportedVersions?: readonly number[],
): Promise<Client> {
  const name = supportedVersions === undefined ? "@deno/kv" : `@deno/kv, version ${supportedVersions.join()}`;
  const options = { accessToken, ...(supportedVersions === undefined ? {} : { supportedVersions }) };
  const open = () => openKv(connectUrl, options);
  const kv = await open();
  return {
    name,
    order: (order) => obey(order, kv, { name, KvU64, open }),
    async close() {
      kv.close();
    },
  };
}
