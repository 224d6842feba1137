/**
 * Run in a network of its own, where every address is this machine's and /etc/hosts and /etc/resolv.conf are ours: starts a server, has
 * it restore from destinations whose names lead to addresses that they must not, and prints as one line of JSON which addresses were
 * connected to.
 */
import { createServer } from "node:net";
import { startManagedServer, Tenant } from "./management.ts";
import { startNameServer } from "./name-server.ts";

/** Names that look public, and where they lead. */
export const names: Readonly<Record<string, readonly string[]>> = {
  "public.example": ["93.184.216.34"],
  "loopback.example": ["127.0.0.1"],
  "loopback6.example": ["::1"],
  "private.example": ["10.1.2.3"],
  "unique-local.example": ["fd12::1"],
  "metadata.example": ["169.254.169.254"],
  "metadata6.example": ["fd00:ec2::254"],
  "mapped.example": ["::ffff:169.254.169.254"],
  "mapped-loopback.example": ["::ffff:127.0.0.1"],
  "nat64.example": ["64:ff9b::a9fe:a9fe"],
  "nat64-private.example": ["64:ff9b::a01:203"],
  "nat64-public.example": ["64:ff9b::5db8:d822"],
  "6to4.example": ["2002:a9fe:a9fe::1"],
  "zero.example": ["0.0.0.0"],
  "zero6.example": ["::"],
  "shared.example": ["100.64.0.1"],
  "alibaba.example": ["100.100.100.200"],
  "azure.example": ["168.63.129.16"],
  "oracle.example": ["192.0.0.192"],
  "multicast.example": ["239.1.2.3"],
  "both.example": ["169.254.169.254", "93.184.216.34"],
};

/** Names that lead elsewhere each time they are looked up. */
export const changingNames: Readonly<Record<string, readonly string[]>> = {
  "loopback.changing.example": ["93.184.216.34", "127.0.0.1"],
  "metadata.changing.example": ["93.184.216.34", "169.254.169.254"],
};

export interface Found {
  readonly connected: readonly string[];
  readonly said: string;
  /** What a changing name led to, each time it was looked up. */
  readonly given: readonly string[];
}

async function main(): Promise<void> {
  const connected = new Set<string>();
  const listener = createServer((socket) => {
    connected.add(String(socket.localAddress));
    socket.destroy();
  });
  await new Promise<void>((resolve) => {
    listener.listen({ port: 8443, host: "::" }, resolve);
  });
  const nameServer = await startNameServer(53, changingNames);
  const server = await startManagedServer();
  const tenant = await Tenant.make(server);
  const scheme = process.env["CAIRN_DESTINATIONS"] === "public" ? "https" : "http";
  const found: Record<string, Found> = {};
  for (const name of Object.keys({ ...names, ...changingNames })) {
    connected.clear();
    const destination = {
      kind: "s3",
      endpoint: `${scheme}://${name}:8443`,
      bucketName: "bucket",
      bucketRegion: "us-east-1",
      accessKeyId: "key",
      secretAccessKey: "secret",
    };
    const order = { destination, databaseId: crypto.randomUUID(), at: "2026-11-02T00:00:00Z", name };
    const path = `/api/organizations/${tenant.organizationId}/restores`;
    const { body } = await server.send("POST", path, tenant.token, order);
    found[name] = { connected: [...connected], said: String(body.detail), given: nameServer.given.get(name) ?? [] };
  }
  await server.close();
  listener.close();
  nameServer.close();
  process.stdout.write(`${JSON.stringify(found)}\n`);
}

if (import.meta.main) await main();
