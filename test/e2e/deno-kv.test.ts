/** Every case through `@deno/kv` on Node over HTTP/1.1, and what does not watch once more in the older protocol versions. */
import { afterAll, describe, expect, test } from "vitest";
import { startTestServer } from "../support/server.ts";
import { themes } from "./cases/themes.ts";
import { startNode } from "./clients/node-client.ts";
import { PASSED } from "./clients/obey.ts";

const server = await startTestServer();
const newest = await startNode(server);
const older = [await startNode(server, [1]), await startNode(server, [2])];

afterAll(async () => {
  for (const client of [newest, ...older]) await client.close();
  await server.close();
});

for (const client of [newest, ...older]) {
  // Versions 1 and 2 cannot watch, and sizes, values and expiry do not depend on the version.
  const covered = client === newest ? Object.keys(themes) : ["reading", "listing", "writing", "counters"];
  describe.each(covered)(`${client.name}, %s`, (theme) => {
    test.each(Object.keys(themes[theme] ?? {}))("%s", async (title) => {
      expect(await client.order({ do: "case", theme, title })).toBe(PASSED);
    });
  });
}
