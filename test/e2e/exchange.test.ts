/** What one client writes the other reads: every kind of value and every type of key part, in all directions. */
import { makeRemoteService, openKv } from "@deno/kv";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestServer } from "../support/server.ts";
import { kinds } from "./cases/kinds.ts";
import { startDeno } from "./clients/deno-client.ts";
import { startNode } from "./clients/node-client.ts";
import { PASSED } from "./clients/obey.ts";

const server = await startTestServer();
const deno = startDeno(server);
const node = await startNode(server);

afterAll(async () => {
  await deno.close();
  await node.close();
  await server.close();
});

const all = Object.keys(kinds);
const readableFromNode = all.filter((name) => kinds[name]?.exchange !== "not from node");

describe.each([
  { writer: deno, reader: node, names: all },
  { writer: node, reader: deno, names: readableFromNode },
])("written by $writer.name, read by $reader.name (V4)", ({ writer, reader, names }) => {
  const prefix = ["exchange", writer.name];

  beforeAll(async () => {
    await writer.order({ do: "write kinds", prefix: [...prefix, "kinds"], names });
    await writer.order({ do: "write parts", prefix: [...prefix, "parts"] });
  });

  test.each(names)("%s", async (name) => {
    expect(await reader.order({ do: "read kinds", prefix: [...prefix, "kinds"], names: [name] })).toBe(PASSED);
  });

  test("keys of every type of part, in their order", async () => {
    expect(await reader.order({ do: "read parts", prefix: [...prefix, "parts"] })).toBe(PASSED);
  });
});

test("the serializer that makeRemoteService brings reads what Deno wrote, and Deno reads what it wrote", async () => {
  const names = ["undefined", "null", "true", "an ASCII string", "raw bytes", "KvU64 zero"];
  await deno.order({ do: "write kinds", prefix: ["service", "from Deno"], names });
  const service = makeRemoteService({ accessToken: server.accessToken });
  const kv = await service.openKv(server.connectUrl);
  for (const name of names) {
    const { value, versionstamp } = await kv.get(["service", "from Deno", name]);
    expect(versionstamp).not.toBeNull();
    await kv.set(["service", "from the service", name], value);
  }
  kv.close();
  expect(await deno.order({ do: "read kinds", prefix: ["service", "from the service"], names })).toBe(PASSED);
});

describe("what Deno's client does not send and `@deno/kv` does", () => {
  test("a value of nearly 1 MiB is taken, and Deno reads it by get and by list (V7)", async () => {
    const [key, value] = [["exchange", "large", 1], "x".repeat(1_048_000)];
    expect(await node.order({ do: "attempt", operation: { type: "set", key, value } })).toEqual({ value: true });
    expect(await deno.order({ do: "attempt", operation: { type: "get", key } })).toEqual({ value });
    const selector = { prefix: key.slice(0, -1) };
    const listed = await deno.order({ do: "attempt", operation: { type: "list", selector } });
    expect(listed).toEqual({ value: [[key, value]] });
  });

  test("a value past 1 MiB and an enqueued message are refused in our own words (W24)", async () => {
    const kv = await openKv(server.connectUrl, { accessToken: server.accessToken });
    await expect(kv.set(["exchange", "too large"], new Uint8Array(1_048_577))).rejects.toThrow(
      "400 mutations[0] (set): its value has 1048577 bytes; the limit is 1048576.",
    );
    await expect(kv.enqueue("message")).rejects.toThrow(
      "400 This database has no queues: an atomic write cannot enqueue messages",
    );
    expect((await kv.get(["exchange", "too large"])).versionstamp).toBeNull();
    kv.close();
  });
});
