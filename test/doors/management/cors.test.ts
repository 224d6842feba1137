/** Pages of other origins at every route of the management doors; and OPTIONS and HEAD there. */
import { beforeAll, describe, expect, test } from "vitest";
import { API_ROUTES } from "../../../src/doors/management/api/routes.ts";
import { V1_ROUTES } from "../../../src/doors/management/v1/routes.ts";
import {
  DEPLOYMENT_TOKEN,
  newTenant,
  newToken,
  send,
  type Answer,
  type Tenant,
} from "../../support/workerd/directory.ts";

const PAGE = "https://app.example";
const EVIL = "https://evil.example";

const ROUTES = [...V1_ROUTES, ...API_ROUTES].map(({ method, path }) => ({
  method: method.toUpperCase(),
  path: path.replaceAll("[:]", ":").replaceAll(/:[a-z]*[iI]d\b/g, crypto.randomUUID()),
}));
const OPEN = ["/healthz", "/openapi.json", "/api"].map((path) => ({ method: "GET", path }));

let tenant: Tenant;
/** Of every permission, for one page. */
let token: string;

beforeAll(async () => {
  tenant = await newTenant();
  const permissions = ["read", "write", "admin", "backup", "metrics"];
  ({ token } = await newToken(tenant, { permissions, allowedOrigins: [PAGE] }));
});

const allowedOrigin = ({ headers }: Answer): string | null => headers.get("access-control-allow-origin");

describe.each([...ROUTES, ...OPEN])("$method $path", ({ method, path }) => {
  test("a preflight is answered without a token, and names the method", async () => {
    const headers = {
      origin: EVIL,
      "access-control-request-method": method,
      "access-control-request-headers": "authorization,content-type",
    };
    const answer = await send("OPTIONS", path, { headers });
    expect([answer.status, answer.body, allowedOrigin(answer)]).toEqual([204, "", "*"]);
    expect(answer.headers.get("access-control-allow-methods")?.split(", ")).toContain(method);
    expect(answer.headers.get("access-control-allow-headers")?.split(", ")).toContain("authorization");
    const bare = await send("OPTIONS", path);
    expect([bare.status, bare.headers.get("allow")?.split(", ")]).toEqual([204, expect.arrayContaining([method])]);
    expect(allowedOrigin(bare)).toBe(null);
  });
});

describe.each(ROUTES)("$method $path", ({ method, path }) => {
  test("is refused to a page that the token does not admit, before anything else is looked at (T23)", async () => {
    const answer = await send(method, path, { token, headers: { origin: EVIL } });
    // What is malformed is said to anybody, before the token is looked at: it depends on nothing but the request.
    const seen = `${answer.status} ${answer.body.code} ${allowedOrigin(answer)}`;
    expect(seen).toMatch(/^(400 \w+ https:\/\/evil\.example|403 forbidden[\w-]* null)$/);
  });

  test("is answered to the page that the token names, which may read it, whatever it says", async () => {
    const answer = await send(method, path, { token, headers: { origin: PAGE } });
    expect(answer.status === 403 && JSON.stringify(answer.body).includes("origin")).toBe(false);
    expect([allowedOrigin(answer), answer.headers.get("vary")]).toEqual([PAGE, "Origin"]);
  });

  test("tells a page with a bad token so", async () => {
    const answer = await send(method, path, { token: "cairn_nonsense", headers: { origin: EVIL } });
    expect([answer.status, allowedOrigin(answer)]).toEqual([401, EVIL]);
  });
});

describe.each([...ROUTES, ...OPEN].filter(({ method }) => method === "GET"))("HEAD $path", ({ path }) => {
  test("is GET without its body", async () => {
    const get = await send("GET", path, { token });
    const head = await send("HEAD", path, { token });
    expect([head.status, head.body]).toEqual([get.status, ""]);
    expect([...head.headers]).toEqual([...get.headers]);
  });
});

test("nothing is done for a page that may not use the token", async () => {
  const databases = `/api/organizations/${tenant.organizationId}/databases`;
  const before = (await send("GET", databases, tenant)).body.items.length;
  for (const [path, body] of [
    [databases, { name: "x" }],
    [databases.replace("/api", "/v1"), {}],
  ] as const) {
    expect((await send("POST", path, { token, body, headers: { origin: EVIL } })).status).toBe(403);
    // A token that names no origin is for no page at all.
    expect((await send("POST", path, { token: tenant.token, body, headers: { origin: PAGE } })).status).toBe(403);
  }
  expect((await send("GET", databases, tenant)).body.items).toHaveLength(before);
  expect((await send("POST", databases, { token, body: { name: "x" }, headers: { origin: PAGE } })).status).toBe(201);
});

test("the deployment's token is for no page (T24)", async () => {
  const headers = { origin: PAGE };
  const refused = await send("POST", "/api/organizations", { token: DEPLOYMENT_TOKEN, body: { name: "x" }, headers });
  expect([refused.status, refused.body.code, allowedOrigin(refused)]).toEqual([403, "forbidden-origin", null]);
});

test("a path that is not there has no methods", async () => {
  for (const path of ["/api/nothing", "/v1/nothing"]) expect((await send("OPTIONS", path)).status).toBe(404);
});

describe("a token's origins", () => {
  const mint = (allowedOrigins: unknown, minter = tenant.token) =>
    send("POST", `/api/organizations/${tenant.organizationId}/tokens`, {
      token: minter,
      body: { name: "token", permissions: ["admin"], databases: "all", allowedOrigins },
    });

  test("are shown as browsers spell them, in the answer and in the list; none is null", async () => {
    const { body } = await mint(["https://App.example:443", "http://localhost:5173"]);
    const origins = ["https://app.example", "http://localhost:5173"];
    expect(body.allowedOrigins).toEqual(origins);
    const listed = await send("GET", `/api/organizations/${tenant.organizationId}/tokens?limit=100`, tenant);
    const found = listed.body.items.find(({ id }: { id: string }) => id === body.id);
    expect(found.allowedOrigins).toEqual(origins);
    expect((await mint(undefined)).body.allowedOrigins).toBe(null);
  });

  test.each([
    ["no origin at all", [], "allowedOrigins"],
    ["a path", ["https://app.example/x"], '"https://app.example/x" is not an origin'],
    ["a pattern", ["https://*.example"], "is not an origin"],
    ["one twice", [PAGE, `${PAGE}:443`], "names an origin twice"],
    ["every page and one", ["*", PAGE], "name either"],
    ["too many", Array.from({ length: 21 }, (_, i) => `https://${i}.example`), "at most 20 are allowed"],
    ["no list", PAGE, "allowedOrigins"],
  ])("are refused as %s", async (_, origins, words) => {
    const answer = await mint(origins);
    expect([answer.status, answer.body.detail]).toEqual([400, expect.stringContaining(words)]);
  });

  test("bound those of what it mints, when it has some itself (T12)", async () => {
    const minter = (await mint([PAGE, "https://b.example"])).body.token;
    expect((await mint([PAGE], minter)).status).toBe(201);
    expect((await mint(undefined, minter)).status).toBe(201);
    for (const origins of [[EVIL], [PAGE, EVIL], ["*"]]) {
      expect(await mint(origins, minter)).toMatchObject({ status: 403, body: { code: "forbidden" } });
    }
    const anywhere = (await mint(["*"])).body.token;
    expect((await mint([EVIL], anywhere)).status).toBe(201);
  });

  test("do not hide it from who may list and revoke it", async () => {
    const lister = (await mint([PAGE])).body.token;
    const other = (await mint([EVIL])).body.id;
    const path = `/api/organizations/${tenant.organizationId}/tokens`;
    const listed = await send("GET", `${path}?limit=100`, { token: lister });
    expect(listed.body.items.map(({ id }: { id: string }) => id)).toContain(other);
    expect((await send("DELETE", `${path}/${other}`, { token: lister })).status).toBe(200);
  });
});
