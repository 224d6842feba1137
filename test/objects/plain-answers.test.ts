/** What an object is told by another one, it may return as its own answer. */
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import type { Env } from "../../src/objects/env.ts";
import { objectIn } from "../../src/objects/restore-wiring.ts";
import { databaseControl, organizationIndex, organizationStub } from "../../src/objects/stubs.ts";

// The plugin's environment is the deployment's.
const bindings = env as unknown as Env;
const id = crypto.randomUUID();
const caller = { kind: "deployment" } as const;

test.each([
  ["a database", () => databaseControl(bindings, id, {}).stats()],
  ["a database, from another one", () => objectIn(bindings, null, id).restore({ command: "range" })],
  ["an organization", () => organizationStub(bindings, id).run(caller, null, "organization.get", null)],
  ["the index", () => organizationIndex(bindings).list(caller, 1, null)],
])("the answer of %s is a plain value, which nobody has to dispose of", async (_, ask) => {
  const answer = await ask();
  expect(Symbol.dispose in answer).toBe(false);
  expect(Reflect.ownKeys(answer)).toEqual(Object.keys(answer));
});
