/** Web pages of other origins on the data path. */
import { describe, expect, it } from "vitest";
import { encodeSnapshotRead } from "../../../src/codec/datapath-requests.ts";
import { ACCESS_TOKEN, DATABASE, dataRequest, doorBefore, PAGE, post } from "./fakes.ts";

const EVIL = "https://evil.example";
const read = encodeSnapshotRead([{ start: Uint8Array.of(2), end: Uint8Array.of(3), limit: 1, reverse: false }]);
const bytes = Uint8Array.of(1, 2, 3);
const CONNECT = `/databases/${DATABASE}/connect`;
const paths = [
  CONNECT,
  `/v2${CONNECT}`,
  `/databases/${DATABASE}/at/x/connect`,
  ...["snapshot_read", "atomic_write", "watch"].map((operation) => `/databases/${DATABASE}/${operation}`),
];

async function seen(answer: Promise<Response>) {
  const { status, headers } = await answer;
  return [status, headers.get("access-control-allow-origin")];
}

describe("a page of another origin", () => {
  it.each(paths)("may ask before it asks: %s", async (path) => {
    const headers = { origin: EVIL, "access-control-request-method": "POST" };
    const request = new Request(`https://cairn.example${path}`, { method: "OPTIONS", headers });
    const answer = await doorBefore({})(request);
    expect([answer.status, answer.headers.get("allow")]).toEqual([204, "POST, OPTIONS"]);
    expect(answer.headers.get("access-control-allow-origin")).toBe("*");
    expect(answer.headers.get("access-control-allow-methods")).toBe("POST");
    const allowed = answer.headers.get("access-control-allow-headers")?.split(", ");
    for (const header of ["authorization", "content-type", "x-denokv-version", "x-denokv-database-id"])
      expect(allowed).toContain(header);
  });

  it("exchanges the access token that admits it, and no other page does (T23)", async () => {
    const exchange = (origin: string, token = ACCESS_TOKEN, body = '{"supportedVersions":[3]}') =>
      seen(doorBefore({})(post(CONNECT, body, { authorization: `Bearer ${token}`, origin })));
    expect(await exchange(PAGE)).toEqual([200, PAGE]);
    expect(await exchange(PAGE, ACCESS_TOKEN, "{}")).toEqual([400, PAGE]);
    expect(await exchange(EVIL)).toEqual([403, null]);
    // What a stranger is told, any page is told.
    expect(await exchange(EVIL, "made-up")).toEqual([401, EVIL]);
  });

  it("reads with the data token that it exchanged, and nothing is asked of the object for another page (T23)", async () => {
    let calls = 0;
    const door = doorBefore({
      snapshotRead: async () => {
        calls += 1;
        return bytes;
      },
    });
    const as = (token: string, headers: Record<string, string>) =>
      seen(door(dataRequest("snapshot_read", read, { authorization: `Bearer ${token}`, ...headers })));
    expect(await as("paged", { origin: PAGE })).toEqual([200, PAGE]);
    // A program that is no browser names no origin, and a page of the server's own is no foreign one.
    expect(await as("paged", {})).toEqual([200, null]);
    expect(await as("all", { origin: "https://cairn.example" })).toEqual([200, null]);
    expect(calls).toBe(3);
    expect(await as("paged", { origin: EVIL })).toEqual([403, null]);
    expect(await as("paged", { origin: "null" })).toEqual([403, null]);
    expect(await as("all", { origin: PAGE })).toEqual([403, null]);
    expect(calls).toBe(3);
    expect(await as("made-up", { origin: EVIL })).toEqual([401, EVIL]);
  });

  it("is told what is wrong with its request", async () => {
    const door = doorBefore({});
    const headers = { authorization: "Bearer paged", origin: PAGE };
    const text = dataRequest("snapshot_read", read, { ...headers, "content-type": "text/plain" });
    expect(await seen(door(text))).toEqual([415, PAGE]);
    expect(await seen(door(dataRequest("snapshot_read", new Uint8Array(70_000), headers)))).toEqual([400, PAGE]);
  });
});
