/** examples/live-page in headless Chromium: two windows on one database, one of them behind a network that can be cut. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { launchBrowser, whyNoBrowser } from "../support/browser.ts";
import { type CutProxy, freePort, startCutProxy } from "../support/cut-proxy.ts";
import { type ManagedServer, startManagedServer, Tenant, type MintedToken } from "../support/management.ts";

const program = join(import.meta.dirname, "../../examples/live-page/server.mjs");

/** Longer than any pause of the page between two tries. */
const PAUSE_MS = 10_000;

let server: ManagedServer;
let tenant: Tenant;
let browser: Browser;
let network: CutProxy;

/** Two windows on a database of their own: `cut` reaches it through the network, `near` does not. */
async function openBoard(): Promise<{ readonly near: Page; readonly cut: Page; readonly token: MintedToken }> {
  const databaseId = await tenant.newDatabase();
  const [nearPort, cutPort] = [await freePort(), await freePort()];
  const token = await tenant.newToken({
    databases: [databaseId],
    keyPrefix: ["board"],
    allowedOrigins: [nearPort, cutPort].map((port) => `http://localhost:${port}`),
  });
  const { connectUrl } = tenant.opening(databaseId);
  await servePage(nearPort, connectUrl, token);
  await servePage(cutPort, connectUrl.replace(new URL(connectUrl).port, `${network.port}`), token);
  const [near, cut] = [await newWindow(nearPort), await newWindow(cutPort)];
  for (const window of [near, cut]) await phase(window, "live");
  return { near, cut, token };
}

async function servePage(port: number, connectUrl: string, { token }: MintedToken): Promise<void> {
  const variables = { CONNECT_URL: connectUrl, BOARD_TOKEN: token, PORT: `${port}` };
  const child = spawn(process.execPath, [program], {
    env: { ...process.env, ...variables },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const exited = once(child, "exit");
  onTestFinished(async () => {
    child.kill();
    await exited;
  });
  await Promise.race([
    once(child.stdout, "data"),
    exited.then(([how]) => {
      throw new Error(`the page's server ended: ${how}`);
    }),
  ]);
}

/** Its clock goes on by itself, and can be put forward. */
async function newWindow(port: number): Promise<Page> {
  const context = await browser.newContext();
  onTestFinished(() => context.close());
  const window = await context.newPage();
  window.on("pageerror", (error) => {
    throw error;
  });
  await window.clock.install();
  await window.goto(`http://localhost:${port}`);
  return window;
}

const phase = (window: Page, name: string): Promise<unknown> => window.waitForSelector(`#state[data-phase="${name}"]`);

const state = (window: Page): Promise<string | null> => window.textContent("#state");

/** By itself, at the end of its pause. A try that was under way fails first, and then there is another pause. */
async function comesBack(window: Page): Promise<void> {
  await expect
    .poll(
      async () => {
        const isPausing = (await window.getAttribute("#state", "data-sentence"))?.startsWith("offline") === true;
        if (isPausing) await window.clock.fastForward(PAUSE_MS);
        return window.getAttribute("#state", "data-phase");
      },
      { timeout: 60_000 },
    )
    .toBe("live");
}

/** The texts of its notes, in the order of the alphabet. */
const texts = async (window: Page): Promise<string[]> => {
  const found = await window.locator(".note textarea").evaluateAll((areas) =>
    // Of text areas, as the selector says.
    areas.map((area) => (area as unknown as { readonly value: string }).value),
  );
  return found.toSorted();
};

const expectTexts = (window: Page) => expect.poll(() => texts(window));

async function addNote(window: Page, text: string): Promise<void> {
  await window.click("#add");
  await window.keyboard.type(text);
}

/** The note with this text. */
async function note(window: Page, text: string) {
  const index = (
    await window.locator(".note textarea").evaluateAll((areas) =>
      // Of text areas, as the selector says.
      areas.map((area) => (area as unknown as { readonly value: string }).value),
    )
  ).indexOf(text);
  return window.locator(".note").nth(index);
}

async function remove(window: Page, text: string): Promise<void> {
  // By the program, because another note may lie above it.
  await (await note(window, text)).locator(".remove").dispatchEvent("click");
}

async function rewrite(window: Page, text: string, into: string): Promise<void> {
  await (await note(window, text)).locator("textarea").fill(into);
}

/** Returns where the note lies then. */
async function drag(window: Page, text: string, x: number, y: number): Promise<{ x: number; y: number }> {
  const grip = await (await note(window, text)).locator(".grip").boundingBox();
  if (grip === null) throw new Error(`the note ${text} is not shown`);
  await window.mouse.move(grip.x + 20, grip.y + 8);
  await window.mouse.down();
  await window.mouse.move(grip.x + 20 + x, grip.y + 8 + y, { steps: 3 });
  await window.mouse.up();
  return { x: grip.x + x, y: grip.y + y };
}

describe("the live page", () => {
  beforeAll(async () => {
    if (whyNoBrowser !== null) return console.warn(whyNoBrowser);
    server = await startManagedServer();
    tenant = await Tenant.make(server);
    network = await startCutProxy(Number(new URL(server.url).port));
    browser = await launchBrowser();
  });

  beforeEach((context) => {
    if (whyNoBrowser !== null) context.skip(whyNoBrowser);
    onTestFinished(() => network.mend());
  });

  afterAll(async () => {
    if (whyNoBrowser !== null) return;
    await browser.close();
    await network.close();
    await server.close();
  });

  test("a change in one window appears in the other: a note, its text, where it lies, that it is gone, who is here", async () => {
    const { near, cut } = await openBoard();
    await addNote(near, "tea");
    await expectTexts(cut).toEqual(["tea"]);
    await rewrite(cut, "tea", "green tea");
    await expectTexts(near).toEqual(["green tea"]);

    const moved = await drag(near, "green tea", 30, 20);
    await expect.poll(async () => (await note(cut, "green tea")).boundingBox()).toMatchObject(moved);
    await expect.poll(() => near.locator(".person").count()).toBe(2);
    await remove(cut, "green tea");
    await expectTexts(near).toEqual([]);
    await near.close({ runBeforeUnload: false });
    await expect.poll(() => cut.locator(".person").count()).toBe(1);
  });

  test("a network that is cut loses nothing in either direction, deletes included", async () => {
    const { near, cut } = await openBoard();
    for (const text of ["kept", "changed", "deleted far away", "deleted here"]) {
      await addNote(near, text);
      await expectTexts(cut).toContain(text);
    }
    network.cut();
    await phase(cut, "waiting");
    await addNote(near, "new far away");
    await rewrite(near, "changed", "changed far away");
    await remove(near, "deleted far away");
    await addNote(cut, "new here");
    await remove(cut, "deleted here");
    await expect.poll(() => state(cut)).toContain("2 changes wait");
    await expectTexts(near).toEqual(["changed far away", "deleted here", "kept", "new far away"]);
    // Ten seconds, with tries that fail.
    await cut.clock.fastForward(PAUSE_MS);
    expect(await cut.getAttribute("#state", "data-phase")).toBe("waiting");
    // On whichever socket: a try of the page may be under way, and fail.
    const received: string[] = [];
    cut.on("websocket", (socket) => socket.on("framereceived", ({ payload }) => received.push(String(payload))));
    network.mend();
    await comesBack(cut);
    // Only what has changed since, not the whole state.
    expect(received[0]).toContain('"reset":false');
    const all = ["changed far away", "kept", "new far away", "new here"];
    await expectTexts(cut).toEqual(all);
    await expectTexts(near).toEqual(all);
    expect(await state(cut)).toBe("live");
  });

  test("a network that swallows everything is noticed, and what was written into it is sent again", async () => {
    const { near, cut } = await openBoard();
    await addNote(near, "deleted far away");
    await expectTexts(cut).toEqual(["deleted far away"]);
    network.swallow();
    await addNote(cut, "swallowed");
    await remove(near, "deleted far away");
    // A ping, the time for its answer, and a look.
    for (let i = 0; i < 3; i++) await cut.clock.fastForward(4_000);
    await phase(cut, "waiting");
    network.mend();
    await comesBack(cut);
    await expectTexts(cut).toEqual(["swallowed"]);
    await expectTexts(near).toEqual(["swallowed"]);
  });

  test("a note that both change keeps the text of one and the place of the other", async () => {
    const { near, cut } = await openBoard();
    await addNote(near, "a");
    await expectTexts(cut).toEqual(["a"]);
    network.cut();
    await phase(cut, "waiting");
    await rewrite(near, "a", "b");
    const moved = await drag(cut, "a", 60, 40);
    network.mend();
    await comesBack(cut);
    await expectTexts(cut).toEqual(["b"]);
    await expect.poll(async () => (await note(near, "b")).boundingBox()).toMatchObject(moved);
  });

  test("a change that was made on an older note is made again on the newer one, and undoes nothing", async () => {
    const { near, cut } = await openBoard();
    await addNote(cut, "a");
    const held: (string | Buffer)[] = [];
    let release: () => void = () => undefined;
    await near.routeWebSocket(/socket$/, (page) => {
      const toServer = page.connectToServer();
      toServer.onMessage((message) => {
        const isHeld = String(message).includes('"text":"b"');
        if (isHeld) held.push(message);
        else page.send(message);
      });
      release = () => held.splice(0).forEach((message) => page.send(message));
    });
    await near.reload();
    await expectTexts(near).toEqual(["a"]);
    await rewrite(cut, "a", "b");
    await expect.poll(() => held.length).toBe(1);
    const refused = near.evaluate("new Promise((resolve) => (window.refused = resolve))");
    await near.evaluate(
      "live.write = ((write) => async (asked) => { const written = await write.call(live, asked); if (!written.ok) window.refused(true); return written; })(live.write)",
    );
    const moved = await drag(near, "a", 60, 40);
    expect(await refused).toBe(true);
    release();
    for (const window of [near, cut]) {
      await expectTexts(window).toEqual(["b"]);
      await expect.poll(async () => (await note(window, "b")).boundingBox()).toMatchObject(moved);
    }
  });

  test("a server that is killed is found again, with everything that was confirmed", async () => {
    const { near, cut } = await openBoard();
    await addNote(near, "deleted");
    await addNote(near, "kept");
    await expectTexts(cut).toEqual(["deleted", "kept"]);
    await remove(near, "deleted");
    await expectTexts(cut).toEqual(["kept"]);
    process.kill(server.workerdPid(), "SIGKILL");
    for (const window of [near, cut]) await phase(window, "waiting");
    await addNote(cut, "written meanwhile");
    for (const window of [near, cut]) {
      await expect
        .poll(
          async () => {
            await window.click("#again", { timeout: 100 }).catch(() => undefined);
            return texts(window);
          },
          { timeout: 60_000 },
        )
        .toEqual(["kept", "written meanwhile"]);
    }
  });

  test("a token is renewed in place, and a page whose token is revoked says so and asks no more", async () => {
    const { near, token } = await openBoard();
    await near.route("**/token", async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, json: { ...(await response.json()), expiresIn: 60_000 } });
    });
    const sockets: string[] = [];
    const [opened] = await Promise.all([near.waitForEvent("websocket"), near.reload()]);
    near.on("websocket", (socket) => sockets.push(socket.url()));
    await phase(near, "live");
    const renewed = opened.waitForEvent("framesent", (frame) => String(frame.payload).includes('"token":'));
    const confirmed = opened.waitForEvent("framereceived", (frame) => String(frame.payload).includes('"done":true'));
    await near.clock.fastForward(31_000);
    await Promise.all([renewed, confirmed]);
    await addNote(near, "after");
    await expectTexts(near).toEqual(["after"]);
    expect(sockets).toEqual([]);

    await near.unroute("**/token");
    await tenant.revoke(token);
    await near.clock.fastForward(PAUSE_MS);
    await phase(near, "stopped");
    expect(await state(near)).toContain("There is no data token");
  });

  test("a page may exchange a token that names it by itself, and another page cannot use what it got (N5)", async () => {
    const databaseId = await tenant.newDatabase();
    const { url } = server;
    const { connectUrl } = tenant.opening(databaseId);
    const [port, otherPort] = [await freePort(), await freePort()];
    const token = await tenant.newToken({ databases: [databaseId], allowedOrigins: [`http://localhost:${port}`] });
    for (const each of [port, otherPort]) await servePage(each, connectUrl, token);
    // Its own policy lets the board connect to the socket alone.
    const context = await browser.newContext({ bypassCSP: true });
    onTestFinished(() => context.close());
    const [page, other] = [await context.newPage(), await context.newPage()];
    await page.goto(`http://localhost:${port}`);
    await other.goto(`http://localhost:${otherPort}`);

    const exchange = async (asking: Page): Promise<unknown> =>
      asking.evaluate(
        async ([address = "", accessToken = ""]) => {
          const headers = { authorization: `Bearer ${accessToken}` };
          const body = '{"supportedVersions":[3]}';
          return fetch(address, { method: "POST", headers, body }).then((answer) => answer.json(), String);
        },
        [connectUrl, token.token],
      );
    expect(await exchange(other)).toBe("TypeError: Failed to fetch");
    const exchanged = (await exchange(page)) as { readonly token: string };

    /** The code with which its socket is closed, or "open" when it is answered. */
    const outcome = async (asking: Page): Promise<unknown> =>
      asking.evaluate(
        ([address = "", dataToken]) =>
          new Promise((resolve) => {
            const socket = new WebSocket(address, ["cairn.v1"]);
            socket.addEventListener("open", () => socket.send(JSON.stringify({ id: 1, token: dataToken })));
            socket.addEventListener("message", ({ data }) => String(data).includes('"done":true') && resolve("open"));
            socket.addEventListener("close", ({ code }) => resolve(code));
          }),
        [`${url.replace("http", "ws")}/api/databases/${databaseId}/socket`, exchanged.token],
      );
    expect(await outcome(page)).toBe("open");
    expect(await outcome(other)).toBe(4403);
  });

  test("what the page is served holds no access token", async () => {
    const { near, token } = await openBoard();
    const [, secret = ""] = token.token.split("_").toReversed();
    const served = [
      await (await near.request.get(near.url())).text(),
      await (await near.request.post(`${near.url()}token`)).text(),
    ];
    for (const text of served) expect(text).not.toContain(secret);
  });
});
