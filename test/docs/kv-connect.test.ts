/** docs/kv-connect.md, held against the code: the status of each error, the versions of protocol and clients. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openKv } from "@deno/kv";
import { expect, onTestFinished, test } from "vitest";
import { ERROR_CODES, failure, type ErrorCode } from "../../src/core/errors.ts";
import { PROTOCOL_VERSIONS } from "../../src/doors/kv-connect/versions.ts";
import { failureResponse } from "../../src/doors/kv-connect/responses.ts";
import { startTestServer } from "../support/server.ts";
import { blockWith, readPage, repository, tableRows } from "./markdown.ts";
import { startShell } from "./shell.ts";

const page = readPage("docs/kv-connect.md");

test("the table of errors has each code with the status that it is answered with", () => {
  const shown = tableRows(page).flatMap(([status = "", , code = ""]) =>
    /^\d{3}$/.test(status) ? [[code.replaceAll("`", ""), Number(status)]] : [],
  );
  const answered = Object.keys(ERROR_CODES).map((code) => {
    // Its keys are the codes.
    return [code, failureResponse(failure(code as ErrorCode, "")).status];
  });
  expect(Object.fromEntries(shown)).toEqual(Object.fromEntries(answered));
  expect(shown.length).toBe(answered.length);
});

test("the versions of the protocol are those of the door", () => {
  expect(PROTOCOL_VERSIONS).toEqual([1, 2, 3]);
  expect(page).toContain("in versions 1, 2 and 3");
});

test("the clients are those of the tests, in their versions", () => {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as {
    readonly dependencies: Readonly<Record<string, string>>;
    readonly devDependencies: Readonly<Record<string, string>>;
  };
  expect(page).toContain(`| Deno ${devDependencies["deno"]}, `);
  expect(page).toContain(
    `| \`@deno/kv\` ${devDependencies["@deno/kv"]} on Node ${dependencies["node"]?.split(".")[0]} |`,
  );
});

test("the loop of @deno/kv goes on when the connection of its watch breaks, and begins with keys that are absent", async () => {
  const server = await startTestServer();
  onTestFinished(() => server.close());
  const { connectUrl: CONNECT_URL, accessToken: DENO_KV_ACCESS_TOKEN } = server;
  const kv = await openKv(CONNECT_URL, { accessToken: DENO_KV_ACCESS_TOKEN });
  onTestFinished(() => kv.close());
  const program = blockWith(page, "js", "raw: true");
  // `@deno/kv` is found from the checkout.
  const shell = startShell(repository, { CONNECT_URL, DENO_KV_ACCESS_TOKEN, PROGRAM: program });
  await shell.type('node --input-type=module --eval "$PROGRAM" &');
  await shell.saw(["order: null"]);
  await kv.set(["orders", 1], "placed");
  await shell.saw(["order: placed"]);
  process.kill(server.workerdPid(), "SIGKILL");
  await shell.saw(["watching again: TypeError: terminated"]);
  // While workerd is started again this is answered with 503, and the client tries again.
  await kv.set(["orders", 1], "shipped");
  await shell.saw(["order: shipped"]);
  const states = shell.output().match(/^order: .*$/gm) ?? [];
  // As the page says, a state may come twice.
  expect([...new Set(states)]).toEqual(["order: null", "order: placed", "order: shipped"]);
});

test("the request with which @deno/kv notices that its token ends carries that one, and the next a new one", async () => {
  const server = await startTestServer();
  onTestFinished(() => server.close());
  const over = { expiresAt: new Date(Date.now() - 600_000).toISOString(), token: "one that has ended" };
  let exchanges = 0;
  const fetcher: typeof fetch = async (input, init) => {
    const response = await fetch(input, init);
    if (input !== server.connectUrl || ++exchanges > 1) return response;
    // As it is more than an hour later.
    const metadata = (await response.json()) as object;
    const answer = new Response(JSON.stringify({ ...metadata, ...over }), { headers: response.headers });
    Object.defineProperty(answer, "url", { value: response.url });
    return answer;
  };
  const kv = await openKv(server.connectUrl, { accessToken: server.accessToken, fetcher });
  onTestFinished(() => kv.close());
  await expect(kv.get(["a"])).rejects.toThrow("Unexpected response status: 401");
  expect((await kv.get(["a"])).value).toBeNull();
  expect(exchanges).toBe(2);
});
