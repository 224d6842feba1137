/** An authority and an object in memory, for tests of the door alone. */
import { expect } from "vitest";
import type { Authority } from "../../../src/contracts/authority.ts";
import type { Grant } from "../../../src/contracts/grant.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import { failure } from "../../../src/core/errors.ts";
import { thrownCalls } from "../../../src/doors/http/thrown.ts";
import { kvConnectDoor, type KvConnectParts } from "../../../src/doors/kv-connect/door.ts";
import { answeringFirst } from "../../../src/doors/http/answered-first.ts";
import type { DatabaseStub } from "../../../src/contracts/database.ts";
import { FakeTimers, NOW } from "../../support/fake-timers.ts";

export const DATABASE = "7c1c5bd5-6e4c-4d5c-8d4a-1f0a3f6b2e11";
export const ORIGIN = "https://cairn.example";
/** Of the web page that may exchange, and that the data token "paged" is for. */
export const PAGE = "https://app.example";
/** The commit that every moment is rounded down to. */
export const PAST = "000638a1b2c3d4e50000";

const AS_ASKED = { url: null, trustsProxy: false };

export const ACCESS_TOKEN = "access";
/** Each data token is the name of what it grants. */
export const grants: Record<string, Grant> = {
  all: { tokenId: "t", read: true, write: true, expiresAt: asUnixMs(NOW + 3_600_000) },
  "read-only": { tokenId: "t", read: true, write: false, expiresAt: asUnixMs(NOW + 3_600_000) },
  "write-only": { tokenId: "t", read: false, write: true, expiresAt: asUnixMs(NOW + 3_600_000) },
  past: { tokenId: "t", read: true, write: false, at: PAST, expiresAt: asUnixMs(NOW + 3_600_000) },
  paged: { tokenId: "t", read: true, write: true, origin: PAGE, expiresAt: asUnixMs(NOW + 3_600_000) },
  "seven-seconds": { tokenId: "t", read: true, write: true, expiresAt: asUnixMs(NOW + 7000) },
};

export const authority: Authority = {
  async caller(accessToken, origin) {
    if (accessToken !== ACCESS_TOKEN) return failure("unauthenticated", "The access token is wrong.");
    return { kind: "token", organizationId: "o", tokenId: "t", secretHash: new Uint8Array(32), origin };
  },
  async exchange({ origin }, databaseId, moment) {
    if (origin !== null && origin !== PAGE) return failure("forbidden-origin", "The token is not for this page.");
    if (databaseId !== DATABASE) return failure("not-found", "There is no such database.");
    if (moment === "too early") return failure("not-found", "There was no such moment.");
    if (moment !== undefined) return { token: "past", expiresAt: asUnixMs(NOW + 3_600_000), at: PAST };
    return { token: "all", expiresAt: asUnixMs(NOW + 3_600_000) };
  },
  async grant(_, databaseId) {
    return grants[databaseId === DATABASE ? "all" : ""] ?? failure("not-found", "There is no such database.");
  },
  verify(dataToken, databaseId, at) {
    const grant = grants[dataToken];
    if (grant === undefined) return failure("unauthenticated", "The token is wrong or has expired.");
    if (databaseId !== DATABASE) return failure("unauthenticated", "The token is for another database.");
    if (grant.at !== at) return failure("unauthenticated", "The token is for another moment.");
    return dataToken === "read-only" ? Promise.resolve(grant) : grant;
  },
};

function notExpected(): Promise<never> {
  return Promise.reject(new Error("the object was not to be called"));
}

export type FakeObject = Partial<Pick<DatabaseStub, "snapshotRead" | "atomicWrite" | "fetch">>;

/** A door before this object; what the object lacks must not be called. `more`: instead of the parts that it has otherwise. */
export function doorBefore(object: FakeObject, timers = new FakeTimers(), more: Partial<KvConnectParts> = {}) {
  const stub: DatabaseStub = {
    snapshotRead: notExpected,
    atomicWrite: notExpected,
    entries: notExpected,
    countEntries: notExpected,
    keyHistory: notExpected,
    owner: notExpected,
    deleteEntries: notExpected,
    importEntries: notExpected,
    beginUndelete: notExpected,
    entryJob: notExpected,
    writeAtTurn: notExpected,
    clearLevel: notExpected,
    documents: notExpected,
    documentTables: notExpected,
    feedPage: notExpected,
    fetch: notExpected,
    ...object,
  };
  // As the Worker does for every door.
  const answeredFirst = answeringFirst(timers, (bytes) => new FixedLengthStream(bytes));
  const door = kvConnectDoor({
    authority,
    database: () => stub,
    clock: timers,
    timers,
    publicAddress: AS_ASKED,
    failureOfThrown: thrownCalls({ clock: timers, noRoom: async () => null }),
    ...more,
  });
  return (request: Request): Promise<Response> => {
    const answer = door(request, new URL(request.url).pathname);
    if (answer === undefined) return Promise.resolve(new Response("not this door's", { status: 599 }));
    return answer.then((settled) => answeredFirst(request, settled));
  };
}

export function post(path: string, body?: BodyInit | null, headers: Record<string, string> = {}): Request {
  return new Request(`${ORIGIN}${path}`, { method: "POST", body: body ?? null, headers });
}

/** A request of the data path as Deno sends it, version 3. */
export function dataRequest(operation: string, body: BodyInit, headers: Record<string, string> = {}): Request {
  return post(`/databases/${DATABASE}/${operation}`, body, {
    authorization: "Bearer all",
    "content-type": "application/x-protobuf",
    "x-denokv-database-id": DATABASE,
    "x-denokv-version": "3",
    ...headers,
  });
}

export async function outcome(answer: Promise<Response>) {
  const response = await answer;
  const text = new TextDecoder().decode(await response.arrayBuffer());
  const isSentence = /[^.…][.?!…]$/.test(text);
  if (response.status >= 400 && response.status < 599 && !isSentence) throw new Error(`not a sentence: ${text}`);
  return { status: response.status, type: response.headers.get("content-type"), text };
}

export function refused(status: number, text: string | RegExp) {
  return {
    status,
    type: "text/plain; charset=utf-8",
    text: typeof text === "string" ? text : expect.stringMatching(text),
  };
}
