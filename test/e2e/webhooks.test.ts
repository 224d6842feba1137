/** Webhooks of a running server against real endpoints: what it does not do with what they answer. */
import { afterAll, expect, test } from "vitest";
import { startEventReceiver } from "../support/event-receiver.ts";
import { startTestServer } from "../support/server.ts";

const server = await startTestServer();
const receiver = await startEventReceiver();
const elsewhere = await startEventReceiver();

afterAll(async () => {
  await server.close();
  await receiver.close();
  await elsewhere.close();
});

async function send(method: string, path: string, body?: object) {
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const headers = { authorization: `Bearer ${server.adminToken}` };
  const url = `${server.url}/api/organizations/${server.organizationId}/webhooks${path}`;
  const answer = await fetch(url, { method, headers, ...sent });
  // What an answer holds is what the tests are about.
  // oxlint-disable-next-line typescript/no-explicit-any
  return { status: answer.status, headers: answer.headers, body: (await answer.json()) as any };
}

async function tested(url: string) {
  const { body } = await send("POST", "", { url });
  return (await send("POST", `/${body.id}:test`)).body;
}

test("an event is delivered, and a secret is in no cache and shown in no other answer", async () => {
  const made = await send("POST", "", { url: receiver.url });
  expect([made.status, made.headers.get("cache-control")]).toEqual([201, "no-store"]);
  expect(made.headers.get("location")).toBe(`/api/organizations/${server.organizationId}/webhooks/${made.body.id}`);
  expect((await send("POST", `/${made.body.id}:test`)).body).toMatchObject({ state: "delivered", status: 200 });
  const rotated = await send("POST", `/${made.body.id}:rotateSecret`);
  expect([rotated.status, rotated.headers.get("cache-control")]).toEqual([200, "no-store"]);
  for (const path of ["", `/${made.body.id}`, `/${made.body.id}/deliveries`]) {
    const shown = JSON.stringify((await send("GET", path)).body);
    expect(shown).not.toContain("whsec_");
    expect(shown).not.toContain("nobody is to see");
  }
});

test("a redirect is not followed, and what an endpoint says is not shown", async () => {
  const before = receiver.received.length;
  receiver.answer(307, elsewhere.url);
  expect(await tested(receiver.url)).toMatchObject({ state: "failed", status: 307 });
  receiver.answer(500);
  const failed = await tested(receiver.url);
  expect(failed).toMatchObject({ state: "failed", status: 500, error: "The endpoint answered 500." });
  expect(JSON.stringify(failed)).not.toContain("nobody is to see");
  expect([receiver.received.length - before, elsewhere.received.length]).toEqual([2, 0]);
});

test("an endpoint that nobody is at could not be reached; one where a cloud keeps credentials is refused", async () => {
  const gone = await startEventReceiver();
  await gone.close();
  expect(await tested(gone.url)).toMatchObject({
    state: "failed",
    status: null,
    error: "The endpoint could not be reached.",
  });
  expect(await send("POST", "", { url: "http://169.254.169.254/latest/meta-data/" })).toMatchObject({
    status: 400,
    body: { detail: "url names a host that is reserved for a machine's own metadata." },
  });
});
