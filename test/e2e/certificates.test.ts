/** Destinations over https whose certificates a server does not know: what their owners are told, and how a company's own is trusted. */
import { afterAll, expect, onTestFinished, test } from "vitest";
import { type ManagedServer, startManagedServer, Tenant } from "../support/management.ts";
import { destinationAt } from "../support/s3-place.ts";
import { startS3Server } from "../support/s3-server.ts";
import { authority, type CertificateName, startTlsProxy } from "../support/tls-proxy.ts";

const s3 = await startS3Server();
const behind = Number(new URL(s3.endpoint).port);
afterAll(() => s3.close());

/** What enabling a backup to this endpoint is answered: the status, and the sentence if it is refused. */
async function enableAt(server: ManagedServer, endpoint: string): Promise<readonly [number, string]> {
  const tenant = await Tenant.make(server);
  const id = await tenant.newDatabase();
  const destination = destinationAt({ ...s3, endpoint });
  const { status, body } = await server.send("POST", `/api/databases/${id}/backup`, tenant.token, { destination });
  return [status, String(body.detail)];
}

async function overTls(certificate: CertificateName): Promise<string> {
  const proxy = await startTlsProxy(behind, certificate);
  onTestFinished(() => proxy.close());
  return s3.endpoint.replace(/^http:\/\/[^/]+/, `https://localhost:${proxy.port}`);
}

test("a certificate of a company's own is said to be that, and trusted by NODE_EXTRA_CA_CERTS", async () => {
  const endpoint = await overTls("good");
  const without = await startManagedServer();
  onTestFinished(() => without.close());
  expect(await enableAt(without, endpoint)).toEqual([
    400,
    expect.stringMatching(/signed by an authority that this server does not trust.*NODE_EXTRA_CA_CERTS/),
  ]);
  const withIt = await startManagedServer({ NODE_EXTRA_CA_CERTS: authority });
  onTestFinished(() => withIt.close());
  expect((await enableAt(withIt, endpoint))[0]).toBe(201);
  for (const [certificate, sentence] of [
    ["other", /is for another name/],
    ["expired", /has expired, or is not valid yet/],
  ] as const) {
    expect(await enableAt(withIt, await overTls(certificate))).toEqual([400, expect.stringMatching(sentence)]);
  }
  expect(withIt.log()).not.toContain("NODE_EXTRA_CA_CERTS");
});

test("a host that does not speak https, is not there, or must not be reached is said to be that", async () => {
  const server = await startManagedServer({ NODE_EXTRA_CA_CERTS: "/no/such/file.pem" });
  onTestFinished(() => server.close());
  expect(server.log()).toContain("NODE_EXTRA_CA_CERTS names a file that cannot be read, /no/such/file.pem");
  for (const [endpoint, sentence] of [
    [s3.endpoint.replace("http:", "https:"), /does not speak https there/],
    ["https://nobody.invalid", /has no address that this server connects to/],
    ["http://127.0.0.1:9", /could not be reached, or closed the connection/],
  ] as const) {
    expect(await enableAt(server, endpoint)).toEqual([400, expect.stringMatching(sentence)]);
  }
});
