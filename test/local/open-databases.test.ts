/** Databases that are open at the same time: how many the front lets there be, so that workerd never runs out of files. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { OpenDatabases, openFilesOf, type Use } from "../../src/local/front/open-databases.ts";
import { type Opens, opensOf } from "../../src/local/front/opened-names.ts";
import { Places } from "../../src/local/front/places.ts";
import { SIGNING_KEYS, signDataToken } from "../support/data-token.ts";
import { encodeRead, RawConnect, rawKey, rawPoint } from "../support/raw-connect.ts";
import { startTestServer } from "../support/server.ts";
import { FakeClock } from "./fronts.ts";

/** `envid`: a header, which names a database only for `/cdb`. */
function naming(method: string, path: string, isAuthorized = true, envid: string | null = null): Opens {
  const fields = { get: (name: string) => (name === "envid" ? envid : null) };
  return opensOf({ method, path, isAuthorized, fields });
}

describe("the count", () => {
  function counting(places: number, descriptors = Number.POSITIVE_INFINITY) {
    const clock = new FakeClock();
    const workerd = { openFiles: 0, connecting: 0 };
    const databases = new OpenDatabases({
      places: new Places(places),
      descriptors,
      clock,
      openFiles: () => workerd.openFiles,
      connecting: () => workerd.connecting,
    });
    const read = (name: string, peer = "a", isAuthorized = true): Use | undefined =>
      databases.use(naming("POST", `/databases/${name}/snapshot_read`, isAuthorized), peer);
    return { clock, workerd, databases, read };
  }

  test("a database that is used again takes no second place, and none sixteen seconds after its last use", () => {
    const { clock, databases, read } = counting(2);
    for (let i = 0; i < 5; i++) read("1")?.answered(200);
    read("2")?.answered(404);
    expect(read("3")).toBeUndefined();
    clock.jump(15);
    read("2")?.answered(200);
    databases.check();
    expect(read("3")).toBeUndefined();
    clock.jump(1);
    databases.check();
    expect([read("2"), read("3"), read("4")]).toEqual([expect.anything(), expect.anything(), undefined]);
  });

  test("in whatever order databases are used, each is open until sixteen seconds after its own last use", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom("1", "2", "3"), fc.nat(12), fc.boolean())), (uses) => {
        const { clock, databases, read } = counting(4);
        const usedAt = new Map<string, number>();
        let now = 0;
        for (const [name, seconds, isRefused] of uses) {
          clock.jump(seconds);
          now += seconds;
          databases.check();
          for (const [each, at] of usedAt) if (now - at >= 16) usedAt.delete(each);
          read(name)?.answered(isRefused ? 401 : 200);
          // A refused request opens nothing, and what was open stays so.
          if (!isRefused || usedAt.has(name)) usedAt.set(name, now);
          const free = ["4", "5", "6", "7"].map((other) => read(other, "b")).filter((use) => use !== undefined);
          expect(free.length).toBe(4 - usedAt.size);
          for (const use of free) use.answered(401);
        }
      }),
    );
  });

  test("a request that is refused before its database is asked takes no place, unless another request uses that database meanwhile", () => {
    const { databases, read } = counting(1);
    for (let i = 0; i < 5; i++) read(`${i}`)?.answered(401);
    for (let i = 0; i < 5; i++) databases.use(naming("GET", `/api/databases/${i}`, true), "a")?.answered(404);
    const refused = read("1");
    read("1")?.answered(200);
    refused?.answered(401);
    expect(read("2")).toBeUndefined();
  });

  test("a 404 about an archive comes from its database, which is open then", () => {
    for (const path of ["backups/7", "backups:get?filterByTk=7", "backups%3Aget/7", "backupDestinations/x"]) {
      const { databases, read } = counting(1);
      databases.use(naming("GET", `/api/databases/1/${path}`), "a")?.answered(404);
      expect(read("2")).toBeUndefined();
    }
  });

  test("a request without a token takes no place, and neither does a path that names no database", () => {
    const { databases, read } = counting(1);
    for (let i = 0; i < 5; i++) {
      expect(read(`${i}`, "a", false)).toBeDefined();
      for (const path of ["/healthz", "/databases", "/databases/", "/api/jobs/1", `/x?y=/databases/${i}`]) {
        expect(databases.use(naming("POST", path, true), "a")).toBeDefined();
      }
    }
    expect(read("1")).toBeDefined();
  });

  test.each(["/databases/1/other", "/v2/databases/1/watch", "/api/databases/1/socket", "/v7/databases/1"])(
    "a path that names a database opens it, whichever door the path is of: %s",
    (path) => {
      const { databases, read } = counting(1);
      const use = databases.use(naming("GET", path, true), "a");
      expect(use).toBeDefined();
      expect(read("2")).toBeUndefined();
      use?.answered(101);
      expect(read("2")).toBeUndefined();
      expect(read("1")).toBeDefined();
    },
  );

  test("where no door is, 404 gives the place back", () => {
    const { databases, read } = counting(1);
    for (let i = 0; i < 5; i++) databases.use(naming("POST", `/databases/${i}/other`, true), "a")?.answered(404);
    expect(read("1")).toBeDefined();
  });

  test("every path of a database is the same one's, and a change through the API may open another", () => {
    const { databases } = counting(3);
    const use = (method: string, path: string) => databases.use(naming(method, path, true), "a");
    for (const path of ["connect", "at/now/connect", "watch", "atomic_write?x", "at/2/snapshot_read"]) {
      expect(use("POST", `/databases/1/${path}`)).toBeDefined();
    }
    expect(use("POST", "/v2/databases/1/connect")).toBeDefined();
    expect(use("GET", "/api/databases/1/stats")).toBeDefined();
    expect(use("GET", "/v1/databases/1")).toBeDefined();
    expect(use("POST", "/api/organizations/2/databases")).toBeDefined();
    expect(use("POST", "/api/organizations/2/databases")).toBeUndefined();
    expect(use("GET", "/v1/organizations/2/databases?page=1")).toBeDefined();
    expect(use("PUT", "/api/databases/1/entries/a?x=1")).toBeDefined();
    expect(use("POST", "/api/databases/1/entries:delete")).toBeDefined();
    expect(use("POST", "/api/databases/1/records/a:checkAndWrite")).toBeDefined();
    expect(use("POST", "/api/databases/1/records:clear")).toBeDefined();
  });

  test("plain HTTP is a use also with the token in the URL, and where the database has no such entry", () => {
    const { databases } = counting(1);
    const path = "/api/databases/1/entries/a?access_token=t";
    const use = databases.use(naming("GET", path, false), "a");
    use?.answered(404);
    expect(databases.use(naming("GET", "/api/databases/2/entries/a?access_token=t", false), "a")).toBeUndefined();
  });

  test("documents name their database in a header, and a stranger's request for them is none (D36)", () => {
    const { databases, read } = counting(1);
    const open = (envid: string | null, isAuthorized = true) =>
      databases.use(naming("POST", "/cdb?x", isAuthorized, envid), "a");
    for (let i = 0; i < 5; i++) {
      expect(open(`${i}`, false)).toBeDefined();
      expect(open(null)).toBeDefined();
      const use = open(`${i}`);
      expect(use).toBeDefined();
      expect(open("another")).toBeUndefined();
      // What the front makes of an answer that says that no object was called.
      use?.answered(401);
    }
    expect(databases.use(naming("POST", "/healthz", true, "1"), "a")).toBeDefined();
    open("1")?.answered(200);
    expect([read("1"), open("1"), open("2"), read("2")]).toEqual([
      expect.anything(),
      expect.anything(),
      undefined,
      undefined,
    ]);
    expect(databases.use(naming("POST", "/api/databases/1/tables/a/b:create"), "a")).toBeDefined();
  });

  test("one address leaves some for others", () => {
    const { read } = counting(10);
    const opened = Array.from({ length: 10 }, (_, i) => read(`${i}`, "a")).filter((use) => use !== undefined);
    expect(opened).toHaveLength(8);
    expect([read("8", "b"), read("9", "b"), read("10", "b")]).toEqual([
      expect.anything(),
      expect.anything(),
      undefined,
    ]);
  });

  test("what workerd has open by itself counts, with what it is about to open", () => {
    const { workerd, read } = counting(1000, 500);
    workerd.openFiles = 440;
    const first = read("1");
    expect(first).toBeDefined();
    read("2");
    read("3");
    // 50 stay free, and three are being opened.
    expect(read("4")).toBeUndefined();
    first?.answered(200);
    expect(read("4")).toBeDefined();
    workerd.connecting = 5;
    expect(read("5")).toBeUndefined();
  });

  test("the system's count of a process's files is right", () => {
    expect(openFilesOf(process.pid)).toBeGreaterThan(5);
    expect(openFilesOf(2 ** 22 + 1)).toBeUndefined();
  });
});

describe.skipIf(process.platform !== "linux")("workerd", () => {
  const read = encodeRead({ ranges: [rawPoint(rawKey("a"))] });

  /** Asks a database that was never made: its object opens its files to find that out. */
  async function touch(url: string, agent: Agent): Promise<number> {
    const id = randomUUID();
    const headers = { authorization: `Bearer ${await signDataToken(id)}`, "content-type": "application/x-protobuf" };
    return new Promise((resolve, reject) => {
      const asked = request(`${url}/databases/${id}/snapshot_read`, { method: "POST", headers, agent }, (answer) => {
        answer.resume().on("end", () => resolve(answer.statusCode ?? 0));
      });
      asked.on("error", reject);
      asked.end(read);
    });
  }

  /** With 1,024 files, a plain Debian's limit, workerd ended at 330. CAIRN_TEST_DATABASES=10000 takes twenty minutes. */
  const count = Number(process.env["CAIRN_TEST_DATABASES"] ?? 400);
  const FILES = 1024;

  test(
    `${count} databases that are touched in turn end nobody, and keep nobody's database closed`,
    { timeout: 3_600_000 },
    async () => {
      const server = await startTestServer({ CAIRN_SIGNING_KEYS: SIGNING_KEYS }, { shell: `ulimit -n ${FILES}` });
      onTestFinished(() => server.close());
      const pid = server.workerdPid();
      const ordinary = await RawConnect.open(server);
      onTestFinished(() => ordinary.close());
      const agent = new Agent({ keepAlive: true, maxSockets: 12 });
      const elsewhere = new Agent({ keepAlive: true, localAddress: "127.0.0.2" });
      onTestFinished(() => {
        agent.destroy();
        elsewhere.destroy();
      });

      let [begun, touched, refused, mostFiles] = [0, 0, 0, 0];
      const client = async (): Promise<void> => {
        while (begun++ < count) {
          for (;;) {
            const status = await touch(server.url, agent);
            mostFiles = Math.max(mostFiles, openFilesOf(pid) ?? 0);
            expect([404, 503]).toContain(status);
            if (status === 404) touched += 1;
            else refused += 1;
            if (status === 404 || count <= 400) break;
            await sleep(1000);
          }
          expect((await ordinary.post("snapshot_read", read)).status).toBe(200);
        }
      };
      await Promise.all(Array.from({ length: 12 }, client));
      // Who comes from another address opens one, too.
      expect(await touch(server.url, elsewhere)).toBe(404);
      expect(touched).toBeGreaterThan(80);
      expect(refused).toBeGreaterThan(0);
      expect(mostFiles).toBeLessThan(FILES - 20);
      expect(server.workerdPid()).toBe(pid);
      expect(server.log()).toBe("");
    },
  );

  test("may have as many files open as the system allows at most, whatever the shell has set", async () => {
    const server = await startTestServer({}, { shell: "ulimit -Sn 256" });
    onTestFinished(() => server.close());
    const [, soft, hard] =
      /Max open files +(\d+) +(\d+)/.exec(readFileSync(`/proc/${server.workerdPid()}/limits`, "utf8")) ?? [];
    expect(Number(soft)).toBeGreaterThan(256);
    expect(soft).toBe(hard);
  });
});
