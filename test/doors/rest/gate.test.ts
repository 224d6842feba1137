/** Who may ask over plain HTTP: both kinds of tokens, what they allow, and pages of other origins. */
import { beforeAll, describe, expect, test } from "vitest";
import { RestDatabase, send, SERVER } from "./rest-client.ts";

let database: RestDatabase;

beforeAll(async () => void (database = await RestDatabase.make()));

const value = { body: '{"type":"number","value":1}' };

describe("a token", () => {
  test("of either kind is taken in the header (H3)", async () => {
    const dataToken = await database.dataToken();
    expect((await database.ask("PUT", "entries/a", value)).status).toBe(200);
    expect((await database.ask("GET", "entries/a", { token: dataToken })).status).toBe(200);
  });

  test("in the URL is a data token, never one that lives long (H4)", async () => {
    await database.ask("PUT", "entries/a", value);
    const shown = (token: string) => database.ask("GET", `entries/a?access_token=${token}`, { token: null });
    expect((await shown(await database.dataToken())).status).toBe(200);
    expect(await shown(database.token)).toMatchObject({
      status: 401,
      json: { code: "unauthenticated", detail: expect.stringContaining("takes data tokens only") },
    });
    const both = await database.ask("GET", `entries/a?access_token=${await database.dataToken()}`);
    expect(both).toMatchObject({ status: 400, json: { detail: expect.stringContaining("two tokens") } });
  });

  test.each([
    null,
    "nonsense",
    "cairn_nonsense",
    `cairn_${"0".repeat(32)}_${"0".repeat(16)}_${"0".repeat(64)}_${"0".repeat(24)}`,
  ])("that is none is 401: %s (H3)", async (token) => {
    const got = await database.ask("GET", "entries/a", { token });
    expect(got).toMatchObject({ status: 401, json: { code: "unauthenticated", status: 401 } });
    expect(got.headers.get("www-authenticate")).toBe("Bearer");
  });

  test("is good for its databases only (H3)", async () => {
    const other = await RestDatabase.make();
    expect((await database.ask("GET", "entries/a", { token: other.token })).status).toBe(404);
    expect((await database.ask("GET", "entries/a", { token: await other.dataToken() })).status).toBe(401);
    const { token } = await database.newToken({ databases: [(await database.another()).id] });
    expect((await database.ask("GET", "entries/a", { token })).status).toBe(404);
    expect((await send("GET", "/api/databases/nothing/entries/a", { token: database.token })).status).toBe(404);
  });

  test("that is revoked is refused at once, although the door remembers it (H3)", async () => {
    const minted = await database.newToken({});
    const { token } = minted;
    expect((await database.ask("PUT", "entries/a", { ...value, token })).status).toBe(200);
    await database.revoke(minted);
    expect(await database.ask("GET", "entries/a", { token })).toMatchObject({ status: 401 });
    expect(await database.ask("PUT", "entries/a", { ...value, token })).toMatchObject({ status: 401 });
  });

  test("allows what it says, and keys under its prefix (H10)", async () => {
    await database.ask("PUT", "entries/mine/1", value);
    await database.ask("PUT", "entries/theirs", value);
    const { token: reader } = await database.newToken({ permissions: ["read"] });
    expect((await database.ask("GET", "entries/mine/1", { token: reader })).status).toBe(200);
    expect(await database.ask("PUT", "entries/mine/1", { ...value, token: reader })).toMatchObject({
      status: 403,
      json: { code: "forbidden" },
    });
    expect((await database.ask("DELETE", "entries/mine/1", { token: reader })).status).toBe(403);
    const { token } = await database.newToken({ keyPrefix: ["mine"] });
    expect((await database.ask("GET", "entries/mine/1", { token })).status).toBe(200);
    // As every read: what lies outside is not there.
    expect((await database.ask("GET", "entries/theirs", { token })).status).toBe(404);
    expect((await database.ask("HEAD", "entries/theirs", { token })).status).toBe(404);
    for (const method of ["PUT", "DELETE"]) {
      const refused = await database.ask(method, "entries/theirs", { ...(method === "PUT" ? value : {}), token });
      expect(refused).toMatchObject({ status: 403, json: { detail: expect.stringContaining('["theirs"]') } });
      const tempted = { headers: { "if-none-match": "*" }, ...(method === "PUT" ? value : {}), token };
      expect((await database.ask(method, "entries/theirs", tempted)).status).toBe(403);
    }
    expect((await database.ask("GET", "entries/theirs")).status).toBe(200);
  });

  test("of a database that was deleted opens nothing (H3)", async () => {
    const gone = await database.another();
    const dataToken = await gone.dataToken();
    await gone.ask("PUT", "entries/a", value);
    await send("DELETE", `/api/databases/${gone.id}`, { token: gone.token });
    expect((await gone.ask("GET", "entries/a")).status).toBe(404);
    expect((await gone.ask("GET", "entries/a", { token: dataToken })).status).toBe(404);
  });
});

describe("a page of another origin", () => {
  const PAGE = "https://app.example";
  const origin = (page: string) => ({ headers: { origin: page } });

  test("is answered a preflight, which asks for no token (H12)", async () => {
    const got = await send("OPTIONS", `/api/databases/${database.id}/entries/a`, {
      headers: { origin: PAGE, "access-control-request-method": "PUT" },
    });
    expect(got.status).toBe(204);
    expect(got.headers.get("access-control-allow-methods")).toBe("GET, HEAD, PUT, DELETE");
    const allowed = got.headers.get("access-control-allow-headers") ?? "";
    for (const name of ["authorization", "if-match", "if-none-match", "cairn-expires-at"])
      expect(allowed).toContain(name);
  });

  test("reads answers with a token that admits it, and with no other (H12)", async () => {
    const { token } = await database.newToken({ allowedOrigins: [PAGE] });
    await database.ask("PUT", "entries/a", value);
    const good = await database.ask("GET", "entries/a", { ...origin(PAGE), token });
    expect(good.status).toBe(200);
    expect(good.headers.get("access-control-allow-origin")).toBe(PAGE);
    expect(good.headers.get("access-control-expose-headers")).toContain("etag");
    for (const [shown, page] of [
      [token, "https://evil.example"],
      [database.token, PAGE],
      [await database.dataToken(), PAGE],
      [await database.dataToken(token, { origin: PAGE }), "https://evil.example"],
    ] as const) {
      const refused = await database.ask("GET", "entries/a", { ...origin(page), token: shown });
      expect(refused).toMatchObject({ status: 403, json: { code: "forbidden-origin" } });
      expect(refused.headers.get("access-control-allow-origin")).toBeNull();
    }
    const dataToken = await database.dataToken(token, { origin: PAGE });
    expect((await database.ask("GET", "entries/a", { ...origin(PAGE), token: dataToken })).status).toBe(200);
    expect((await database.ask("GET", "entries/a", { ...origin(SERVER) })).status).toBe(200);
  });
});
