/** Every case through the real Deno, over HTTP/2. */
import { afterAll, describe, expect, test } from "vitest";
import { startTestServer } from "../support/server.ts";
import { denoThemes } from "./cases/themes.ts";
import { startDeno } from "./clients/deno-client.ts";
import { PASSED } from "./clients/obey.ts";

const server = await startTestServer();
const deno = startDeno(server);

afterAll(async () => {
  await deno.close();
  await server.close();
});

describe.each(Object.entries(denoThemes))("Deno, %s", (theme, cases) => {
  test.each(Object.keys(cases))("%s", async (title) => {
    expect(await deno.order({ do: "case", theme, title })).toBe(PASSED);
  });
});
