/** TLS before a server of the tests, with one of the certificates in `certificates/`. */
import { readFileSync } from "node:fs";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { createServer } from "node:tls";

export type CertificateName = "good" | "other" | "expired";

const folder = join(import.meta.dirname, "certificates");

/** The authority that all of them are signed by. */
export const authority = join(folder, "ca.pem");

export interface TlsProxy {
  readonly port: number;
  close(): Promise<void>;
}

export async function startTlsProxy(behind: number, certificate: CertificateName): Promise<TlsProxy> {
  const key = readFileSync(join(folder, "store.key"));
  const server = createServer({ key, cert: readFileSync(join(folder, `${certificate}.pem`)) }, (client) => {
    const upstream = connect(behind, "127.0.0.1");
    client.pipe(upstream).pipe(client);
    client.on("error", () => upstream.destroy());
    upstream.on("error", () => client.destroy());
  });
  // Clients that do not trust it go away in the middle of their greeting.
  server.on("tlsClientError", () => undefined);
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  // A server that listens on TCP has such an address.
  const { port } = server.address() as AddressInfo;
  return { port, close: () => new Promise((resolve) => server.close(() => resolve())) };
}
