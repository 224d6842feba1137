import { describe, expect, test } from "vitest";
import { answerOptions, foreignOriginOf, NOT_FOR_OTHER_PAGES, readableBy } from "../../../src/doors/http/cors.ts";

const PAGE = "https://app.example";

function request(headers: Record<string, string>, url = "https://kv.example/api"): Request {
  return new Request(url, { headers });
}

describe("the page that asks", () => {
  test.each([
    ["a program, which names none", {}, null],
    ["a foreign page", { origin: PAGE }, PAGE],
    ["a page of the server's own", { origin: "https://kv.example" }, null],
    ["one of its own behind a proxy with TLS", { origin: "http://kv.example" }, null],
    ["a page on another port", { origin: "https://kv.example:8443" }, "https://kv.example:8443"],
    [
      "a page of a name that begins like the server's",
      { origin: "https://kv.example.evil" },
      "https://kv.example.evil",
    ],
    [
      "one that its browser calls foreign",
      { origin: "http://kv.example", "sec-fetch-site": "same-site" },
      "http://kv.example",
    ],
    ["one that its browser calls the server's own", { origin: PAGE, "sec-fetch-site": "same-origin" }, null],
    ["a sandboxed frame", { origin: "null", "sec-fetch-site": "cross-site" }, "null"],
    ["a header that no browser sends", { origin: "https://a b" }, "null"],
    ["an origin that is too long", { origin: `https://${"h".repeat(300)}` }, "null"],
    ["an empty header", { origin: "" }, "null"],
  ])("%s", (_, headers, origin) => {
    expect(foreignOriginOf(request(headers))).toBe(origin);
  });
});

describe("an answer", () => {
  test("is readable by the page that asked, with the headers that say more than the body", () => {
    const answer = readableBy(PAGE, new Response("x", { headers: { link: "<x>" } }));
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      "access-control-allow-origin": PAGE,
      "access-control-expose-headers": expect.stringMatching(
        /\blink, location, repr-digest, retry-after\b.*www-authenticate$/,
      ),
      vary: "Origin",
    });
    expect(answer.headers.has("access-control-allow-credentials")).toBe(false);
  });

  test("to a request that names no page says that it varies by origin", () => {
    const answer = readableBy(null, new Response("x"));
    expect(answer.headers.get("vary")).toBe("Origin");
    expect(answer.headers.has("access-control-allow-origin")).toBe(false);
  });

  test("that is not for other pages gets no header that lets them read it", () => {
    const answer = readableBy(PAGE, new Response("x", { headers: NOT_FOR_OTHER_PAGES }));
    expect(answer.headers.has("access-control-allow-origin")).toBe(false);
  });
});

describe("OPTIONS", () => {
  test("without an origin says what is taken", () => {
    const answer = answerOptions(request({}), ["GET", "HEAD"]);
    expect([answer.status, Object.fromEntries(answer.headers)]).toEqual([204, { allow: "GET, HEAD, OPTIONS" }]);
  });

  test("as a preflight allows a request with a token from every page", () => {
    const preflight = { origin: PAGE, "access-control-request-method": "POST" };
    const { headers } = answerOptions(request(preflight), ["POST"]);
    expect(headers.get("access-control-allow-origin")).toBe("*");
    expect(headers.get("access-control-allow-methods")).toBe("POST");
    expect(headers.get("access-control-allow-headers")?.split(", ")).toContain("authorization");
    expect(headers.get("access-control-max-age")).toBe("7200");
  });
});
