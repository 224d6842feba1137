/** The door of a database as of a moment: the same paths behind `/at/{moment}`. */
import { describe, expect, it } from "vitest";
import { ACCESS_TOKEN, DATABASE, doorBefore, grants, ORIGIN, outcome, PAST, post, refused } from "./fakes.ts";

const closed = doorBefore({});
const bearer = { authorization: `Bearer ${ACCESS_TOKEN}` };
const versions = (...supported: number[]) => JSON.stringify({ supportedVersions: supported });
const endpoint = `/databases/${DATABASE}/at/${PAST}`;

function data(operation: string, token: string, path = endpoint): Request {
  return post(`${path}/${operation}`, Uint8Array.of(1), {
    authorization: `Bearer ${token}`,
    "content-type": "application/x-protobuf",
    "x-denokv-database-id": DATABASE,
    "x-denokv-version": "3",
  });
}

describe("the exchange", () => {
  it.each(["2026-11-17T12:00:00Z", "2026-11-17T12%3A00%3A00%2B02:00", PAST])(
    "at %s gives the endpoint of the commit before, and the members of the protocol",
    async (moment) => {
      for (const prefix of ["", "/v2"]) {
        const path = `${prefix}/databases/${DATABASE}/at/${moment}/connect`;
        const answer = await closed(post(path, versions(1, 2, 3), bearer));
        expect(await answer.json()).toEqual({
          version: 3,
          databaseId: DATABASE,
          endpoints: [{ url: endpoint, consistency: "strong" }],
          token: "past",
          expiresAt: "2025-06-15T16:06:40.000Z",
        });
        const first = await closed(post(path, null, bearer));
        expect(await first.json()).toMatchObject({ version: 1, endpoints: [{ url: `${ORIGIN}${endpoint}` }] });
      }
    },
  );

  it("hands the moment on decoded, and refuses one that cannot be", async () => {
    const at = (moment: string) => closed(post(`/databases/${DATABASE}/at/${moment}/connect`, null, bearer));
    expect(await outcome(at("too%20early"))).toEqual(refused(404, "There was no such moment."));
    expect(await outcome(at("%zz"))).toEqual(refused(400, /^The moment in the path/));
  });
});

describe("paths", () => {
  it.each([
    `/databases/${DATABASE}/at`,
    `/databases/${DATABASE}/at/connect`,
    `/databases/${DATABASE}/at//connect`,
    `/databases/${DATABASE}/at/${PAST}`,
    `/databases/${DATABASE}/at/${PAST}/`,
    `/databases/${DATABASE}/at/${PAST}/other`,
    `/databases/${DATABASE}/at/${PAST}/connect/`,
    `/databases/${DATABASE}/at/a/b/connect`,
    `/databases/${DATABASE}/of/${PAST}/connect`,
    `/v2${endpoint}/snapshot_read`,
  ])("%s is not this door's", async (path) => {
    expect((await closed(post(path))).status).toBe(599);
  });
});

describe("the data path", () => {
  const answer = Uint8Array.of(4, 5);

  it("reads with a token of that commit", async () => {
    const calls: unknown[] = [];
    const door = doorBefore({
      snapshotRead: async (...args) => {
        calls.push(args);
        return answer;
      },
    });
    const response = await door(data("snapshot_read", "past"));
    expect([response.status, new Uint8Array(await response.arrayBuffer())]).toEqual([200, answer]);
    expect(calls).toEqual([[grants["past"], Uint8Array.of(1)]]);
  });

  it("refuses writes with 403 and says why (G27)", async () => {
    expect(await outcome(closed(data("atomic_write", "past")))).toEqual(
      refused(403, "This is a database as it was at a moment: it can be read and not written."),
    );
  });

  it("refuses tokens of the live database and of another commit, and the other way round", async () => {
    const another = `/databases/${DATABASE}/at/000638a1b2c3d4e60000`;
    for (const operation of ["snapshot_read", "atomic_write", "watch"]) {
      for (const request of [
        data(operation, "all"),
        data(operation, "past", another),
        data(operation, "past", `/databases/${DATABASE}`),
      ]) {
        expect(await outcome(closed(request))).toEqual(refused(401, "The token is for another moment."));
      }
    }
  });
});
