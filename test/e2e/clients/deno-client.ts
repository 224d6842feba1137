/** The real Deno of this checkout as a client that carries out orders with `Deno.openKv`. */
import { fileURLToPath } from "node:url";
import { startDenoProcess } from "../../support/deno-process.ts";
import type { TestServer } from "../../support/server.ts";
import type { Client } from "./client.ts";

const host = fileURLToPath(new URL("deno-host.ts", import.meta.url));

export function startDeno(server: Pick<TestServer, "connectUrl" | "accessToken">): Client {
  return { name: "Deno", ...startDenoProcess(host, server) };
}
