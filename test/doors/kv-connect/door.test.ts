import { describe, expect, it } from "vitest";
import { failure, type ErrorCode } from "../../../src/core/errors.ts";
import { FakeTimers } from "../../support/fake-timers.ts";
import {
  ACCESS_TOKEN,
  authority,
  DATABASE,
  dataRequest,
  doorBefore,
  grants,
  ORIGIN,
  outcome,
  post,
  refused,
} from "./fakes.ts";

const closed = doorBefore({});
const bearer = { authorization: `Bearer ${ACCESS_TOKEN}` };

function exchange(body: string | null, path = `/databases/${DATABASE}/connect`, headers = bearer) {
  return closed(post(path, body, headers));
}

const metadata = (version: number, url: string) => ({
  version,
  databaseId: DATABASE,
  endpoints: [{ url, consistency: "strong" }],
  token: "all",
  expiresAt: "2025-06-15T16:06:40.000Z",
});

describe("the metadata exchange", () => {
  it.each([`/databases/${DATABASE}/connect`, `/v2/databases/${DATABASE}/connect`])(
    "at %s answers the newest common version with exactly the protocol's members",
    async (path) => {
      for (const [supported, version] of [
        [[1, 2, 3], 3],
        [[2, 1], 2],
        [[3, 4, 99], 3],
      ] as const) {
        const response = await exchange(JSON.stringify({ supportedVersions: supported }), path);
        expect(response.status).toBe(200);
        expect(response.headers.get("content-type")).toBe("application/json");
        // There is a token in it.
        expect(response.headers.get("cache-control")).toBe("no-store");
        expect(await response.json()).toEqual(metadata(version, `/databases/${DATABASE}`));
      }
    },
  );

  it("takes no body for version 1, whose endpoint is absolute", async () => {
    for (const body of [null, "", '{"supportedVersions":[1]}']) {
      expect(await (await exchange(body)).json()).toEqual(metadata(1, `${ORIGIN}/databases/${DATABASE}`));
    }
  });

  it.each([
    "{",
    "null",
    "[]",
    "{}",
    '{"supportedVersions":3}',
    '{"supportedVersions":["3"]}',
    '{"supportedVersions":[1.5]}',
  ])("refuses the body %s", async (body) => {
    expect(await outcome(exchange(body))).toEqual(refused(400, /^The body must be JSON like/));
  });

  it("refuses a body that is not UTF-8, and one over its limit", async () => {
    const path = `/databases/${DATABASE}/connect`;
    expect(await outcome(closed(post(path, Uint8Array.of(0xff), bearer)))).toEqual(
      refused(400, /^The body must be JSON/),
    );
    expect(await outcome(exchange(" ".repeat(4097)))).toEqual(
      refused(400, "The body of the request has at least 4097 bytes; the limit is 4096."),
    );
  });

  it.each(["[]", "[0]", "[4,5]"])("refuses the versions %s", async (versions) => {
    expect(await outcome(exchange(`{"supportedVersions":${versions}}`))).toEqual(
      refused(400, "The client supports none of the versions of KV Connect that this server speaks: 1, 2, 3."),
    );
  });

  it("refuses a missing or wrong token with 401 and an unknown database with 404", async () => {
    const path = `/databases/${DATABASE}/connect`;
    expect(await outcome(closed(post(path)))).toEqual(refused(401, /^The token is missing or malformed/));
    expect(await outcome(exchange(null, path, { authorization: "Bearer wrong" }))).toEqual(
      refused(401, "The access token is wrong."),
    );
    expect(await outcome(exchange(null, "/databases/other/connect"))).toEqual(
      refused(404, "There is no such database."),
    );
  });

  it("refuses other methods", async () => {
    const answer = await closed(new Request(`${ORIGIN}/databases/${DATABASE}/connect`));
    expect(answer.headers.get("allow")).toBe("POST, OPTIONS");
    expect(await outcome(Promise.resolve(answer))).toEqual(
      refused(405, "GET is not allowed here: KV Connect uses POST."),
    );
  });
});

describe("paths", () => {
  it.each([
    "/",
    "/databases",
    "/databases/",
    `/databases/${DATABASE}`,
    "/databases//connect",
    `/databases/${DATABASE}/snapshot_read/`,
    `/databases/${DATABASE}/other`,
    `/v2/databases/${DATABASE}/snapshot_read`,
    `/v1/databases/${DATABASE}/connect`,
  ])("%s is not this door's", async (path) => {
    expect((await closed(post(path))).status).toBe(599);
  });
});

describe("the data path", () => {
  const request = Uint8Array.of(1, 2, 3);
  const answer = Uint8Array.of(4, 5);

  it.each([
    ["snapshot_read", "snapshotRead", "read-only"],
    ["atomic_write", "atomicWrite", "write-only"],
  ])("%s hands grant and body to the object, and its answer to the client", async (operation, method, token) => {
    const calls: unknown[] = [];
    const door = doorBefore({
      [method]: async (...args: unknown[]) => {
        calls.push(args);
        return answer;
      },
    });
    const headers = { authorization: `bearer  ${token}`, "content-length": "3" };
    const response = await door(dataRequest(operation, request, headers));
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/x-protobuf");
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(answer);
    expect(calls).toEqual([[grants[token], request]]);
  });

  it("takes the headers of each version, none at all, and a content type with parameters or none", async () => {
    const door = doorBefore({ snapshotRead: async () => answer });
    const headersOfVersions: Record<string, string>[] = [
      {},
      { "x-transaction-domain-id": DATABASE },
      { "x-denokv-version": "2", "x-denokv-database-id": DATABASE },
      { "content-type": "application/x-protobuf" },
      { "content-type": "Application/X-Protobuf; charset=utf-8" },
    ];
    for (const headers of headersOfVersions) {
      const path = `/databases/${DATABASE}/snapshot_read`;
      const response = await door(post(path, request, { authorization: "Bearer all", ...headers }));
      expect(response.status).toBe(200);
    }
  });

  it("streams a large answer, asking for it once more", async () => {
    const door = doorBefore({
      snapshotRead: async () => ({ ok: true, large: true }),
      fetch: async (asked) => {
        expect(asked.method).toBe("POST");
        expect(new URL(asked.url).pathname).toBe("/snapshot_read");
        expect(JSON.parse(asked.headers.get("x-cairn-grant") ?? "")).toEqual(grants["all"]);
        expect(new Uint8Array(await asked.arrayBuffer())).toEqual(request);
        return new Response(answer);
      },
    });
    const response = await door(dataRequest("snapshot_read", request));
    expect(response.headers.get("content-type")).toBe("application/x-protobuf");
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(answer);
  });

  it("maps a failure of a large answer as any other", async () => {
    const door = doorBefore({
      snapshotRead: async () => ({ ok: true, large: true }),
      fetch: async () => Response.json(failure("limit", "Too large: lower batchSize."), { status: 400 }),
    });
    expect(await outcome(door(dataRequest("snapshot_read", request)))).toEqual(
      refused(400, "Too large: lower batchSize."),
    );
  });

  const statuses: Record<ErrorCode, number> = {
    invalid: 400,
    limit: 400,
    "type-mismatch": 400,
    unsupported: 400,
    unauthenticated: 401,
    forbidden: 403,
    "forbidden-origin": 403,
    "not-found": 404,
    conflict: 409,
    "precondition-failed": 412,
    "too-old": 410,
    "insufficient-storage": 413,
    internal: 500,
    unavailable: 503,
  };

  it.each(Object.entries(statuses))(
    "answers the failure %s with the status %i and its sentence",
    async (code, status) => {
      // The keys of `statuses` are the codes.
      const flaw = failure(code as ErrorCode, "What was wrong.");
      const door = doorBefore({ snapshotRead: async () => flaw, atomicWrite: async () => flaw });
      for (const operation of ["snapshot_read", "atomic_write"]) {
        expect(await outcome(door(dataRequest(operation, request)))).toEqual(refused(status, "What was wrong."));
      }
    },
  );

  it("answers 503 when the object was restarted or is overloaded, and 500 without details for anything else", async () => {
    const throwing = (marks: object) =>
      doorBefore({ atomicWrite: () => Promise.reject(Object.assign(new Error("secret"), marks)) });
    const write = dataRequest.bind(undefined, "atomic_write", request);
    expect(await outcome(throwing({ retryable: true })(write()))).toEqual(refused(503, /was restarted or moved/));
    expect(await outcome(throwing({ durableObjectReset: true })(write()))).toEqual(
      refused(503, /was restarted or moved/),
    );
    expect(await outcome(throwing({ retryable: true, overloaded: true })(write()))).toEqual(
      refused(503, /more requests than it can answer/),
    );
    expect(await outcome(throwing({})(write()))).toEqual(
      refused(500, "The request failed because of an error in this server."),
    );
  });

  it("answers 500 without details, too, when it fails before it asks the object", async () => {
    const broken = { ...authority, verify: () => Promise.reject(new Error("secret")) };
    const door = doorBefore({}, new FakeTimers(), { authority: broken });
    for (const operation of ["snapshot_read", "atomic_write", "watch"]) {
      expect(await outcome(door(dataRequest(operation, request)))).toEqual(
        refused(500, "The request failed because of an error in this server."),
      );
    }
  });
});
