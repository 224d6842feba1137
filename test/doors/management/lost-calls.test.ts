/** An object that goes away while it answers: 503 on every path, whatever mark the platform leaves on what is thrown. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { OrganizationStub } from "../../../src/contracts/management.ts";
import { managementDoor } from "../../../src/doors/management/door.ts";
import { context, newTenant } from "../../support/workerd/directory.ts";

beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => undefined));
afterEach(() => vi.restoreAllMocks());

const marks = [{ retryable: true }, { durableObjectReset: true, remote: true }, { overloaded: true, retryable: true }];

async function answered(path: string, thrown: object): Promise<Response> {
  const { token } = await newTenant();
  // Whatever is asked of it, it throws this.
  const lost = new Proxy({}, { get: () => () => Promise.reject(thrown) }) as OrganizationStub;
  const door = managementDoor({ ...context, organization: () => lost });
  const request = new Request(`https://cairn.example${path}`, { headers: { authorization: `Bearer ${token}` } });
  const answer = await door(request, path);
  if (answer === undefined) throw new Error(`${path} is not the door's`);
  return answer;
}

const ORGANIZATION = "7c1c5bd5-6e4c-4d5c-8d4a-1f0a3f6b2e11";

test.each(marks)("marked %o: 503, and when to ask again where the answer has room for it", async (mark) => {
  const error = Object.assign(new Error("secret"), mark);
  const api = await answered(`/api/organizations/${ORGANIZATION}/databases`, error);
  expect([api.status, api.headers.get("retry-after")]).toEqual([503, "1"]);
  expect(await api.json()).toMatchObject({ code: "unavailable", detail: expect.stringContaining("again") });
  const v1 = await answered(`/v1/organizations/${ORGANIZATION}`, error);
  expect(v1.status).toBe(503);
  expect(await v1.json()).toMatchObject({ code: "unavailable", message: expect.stringContaining("again") });
});

test("without a mark: 500, and nothing of what was thrown", async () => {
  for (const path of [`/api/organizations/${ORGANIZATION}/databases`, `/v1/organizations/${ORGANIZATION}`]) {
    const answer = await answered(path, new Error("secret"));
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain("secret");
  }
});
