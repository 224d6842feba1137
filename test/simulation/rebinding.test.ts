/**
 * Destinations whose names pass every check and lead to addresses that they must not: the network that requests go out through compares
 * addresses when it connects. In a network of its own, where all addresses are this machine's; it needs Linux and `unshare`.
 */
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, test, type TestContext } from "vitest";
import { changingNames, type Found, names } from "../support/rebinding.ts";

const run = promisify(execFile);
const program = join(import.meta.dirname, "../support/rebinding.ts");

/** Every address of both families is local there. */
const network = "ip link set lo up && ip route add local 0.0.0.0/0 dev lo && ip -6 route add local ::/0 dev lo";
const isPossible = spawnSync("unshare", ["-rmn", "sh", "-c", "ip link set lo up"]).status === 0;

/** For each name what was connected to. */
async function connections(
  reach: string,
  { expect, onTestFinished }: Pick<TestContext, "expect" | "onTestFinished">,
): Promise<Record<string, readonly string[]>> {
  const folder = mkdtempSync(join(tmpdir(), "cairn-hosts-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const hosts = join(folder, "hosts");
  const lines = Object.entries(names).flatMap(([name, addresses]) => addresses.map((address) => `${address} ${name}`));
  writeFileSync(hosts, `${["127.0.0.1 localhost", ...lines].join("\n")}\n`);
  const resolver = join(folder, "resolv.conf");
  writeFileSync(resolver, "nameserver 127.0.0.1\n");
  const script = `${network} && mount --bind "$0" /etc/hosts && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"`;
  const { stdout } = await run("unshare", ["-rmn", "sh", "-c", script, hosts, resolver, process.execPath, program], {
    env: { ...process.env, CAIRN_DESTINATIONS: reach },
  });
  // The program prints this.
  const found = JSON.parse(stdout) as Record<string, Found>;
  for (const name of Object.keys(names)) {
    const { connected = [], said } = found[name] ?? {};
    expect(said).toContain(
      connected.length > 0 ? "could not be reached" : "has no address that this server connects to",
    );
  }
  for (const [name, addresses] of Object.entries(changingNames)) {
    expect(found[name]?.given).toEqual(expect.arrayContaining([...addresses]));
  }
  return Object.fromEntries(Object.entries(found).map(([name, { connected }]) => [name, connected]));
}

const publicAddress = ["::ffff:93.184.216.34"];
const expected = {
  ...Object.fromEntries(Object.keys(names).map((name) => [name, []])),
  // Where such a name leads is looked up and compared at each connection.
  ...Object.fromEntries(Object.keys(changingNames).map((name) => [name, publicAddress])),
};

describe.concurrent("destinations whose names lead elsewhere", () => {
  test.skipIf(!isPossible)(
    "with CAIRN_DESTINATIONS=public a name leads to public addresses, or nowhere (B42)",
    async ({ expect, onTestFinished }) => {
      expect(await connections("public", { expect, onTestFinished })).toEqual({
        ...expected,
        "public.example": publicAddress,
        "both.example": publicAddress,
        "nat64-public.example": ["64:ff9b::5db8:d822"],
      });
    },
  );

  test.skipIf(!isPossible)(
    "with CAIRN_DESTINATIONS=any a name leads to the own network too, and never to a machine's metadata (B42)",
    async ({ expect, onTestFinished }) => {
      expect(await connections("any", { expect, onTestFinished })).toEqual({
        ...expected,
        "public.example": publicAddress,
        "both.example": publicAddress,
        "loopback.changing.example": [...publicAddress, "::ffff:127.0.0.1"],
        "loopback.example": ["::ffff:127.0.0.1"],
        "loopback6.example": ["::1"],
        "mapped-loopback.example": ["::ffff:127.0.0.1"],
        "zero.example": ["::ffff:127.0.0.1"],
        "zero6.example": ["::1"],
        "private.example": ["::ffff:10.1.2.3"],
        "shared.example": ["::ffff:100.64.0.1"],
        "unique-local.example": ["fd12::1"],
        "nat64-private.example": ["64:ff9b::a01:203"],
        "nat64-public.example": ["64:ff9b::5db8:d822"],
      });
    },
  );
});
