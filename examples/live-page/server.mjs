/**
 * The page's own server: it serves index.html, and gives the page data tokens. The long-lived access token stays here, where nobody who
 * opens the page can read it. docs/sockets.md says how to run it.
 *
 * This example knows no users: everybody who can open the page gets a token. A server of yours looks first who is signed in, and exchanges
 * a token with the key prefix of that user.
 */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const { CONNECT_URL, BOARD_TOKEN, PORT = "8080" } = process.env;
if (!CONNECT_URL || !BOARD_TOKEN) throw new Error("Set CONNECT_URL and BOARD_TOKEN: docs/sockets.md says how.");

const origin = `http://localhost:${PORT}`;
const cairn = CONNECT_URL.replace(/\/databases\/.*$/, "");
const socketOrigin = new URL(cairn).origin.replace("http", "ws");
const page = readFileSync(new URL("index.html", import.meta.url));
const pageHeaders = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": `default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src 'self' ${socketOrigin}`,
};

/** Exchanges the access token for a data token that only pages of this origin can use. */
async function exchange() {
  const answer = await fetch(CONNECT_URL, {
    method: "POST",
    headers: { authorization: `Bearer ${BOARD_TOKEN}`, origin },
    body: JSON.stringify({ supportedVersions: [3] }),
    signal: AbortSignal.timeout(10_000),
  });
  if (!answer.ok) return { status: answer.status, sentence: await answer.text() };
  const { databaseId, token, expiresAt } = await answer.json();
  const socket = `${cairn.replace("http", "ws")}/api/databases/${databaseId}/socket`;
  // A time span, because the page's clock may be wrong.
  return { socket, token, expiresIn: Date.parse(expiresAt) - Date.now() };
}

async function giveToken(response) {
  const given = await exchange().catch((error) => ({ status: 503, sentence: String(error) }));
  if ("token" in given) {
    response.writeHead(200, { "content-type": "application/json", "cache-control": "no-store" });
    response.end(JSON.stringify(given));
    return;
  }
  console.error(`no data token (${given.status}): ${given.sentence}`);
  // The page tries again after a 503, and gives up after a 500.
  response.writeHead(given.status >= 500 ? 503 : 500, { "content-type": "text/plain" });
  response.end("There is no data token: the log of the page's server says why.");
}

createServer((request, response) => {
  if (request.headers.host !== new URL(origin).host) {
    // http://127.0.0.1:8080 is another origin than http://localhost:8080, and the token names the latter.
    response.writeHead(302, { location: `${origin}/` }).end();
  } else if (request.method === "GET" && request.url === "/") {
    response.writeHead(200, pageHeaders).end(page);
  } else if (request.method === "POST" && request.url === "/token") {
    void giveToken(response);
  } else {
    response.writeHead(404, { "content-type": "text/plain" }).end("Nothing is here.");
  }
}).listen(Number(PORT), "localhost", () => console.log(`The board is at ${origin}`));
