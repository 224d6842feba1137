/** The folder of archives of `npm start`, behind the same driver and the same contract as every bucket. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  readFileSync,
} from "node:fs";
import { request } from "node:http";
import { connect, createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import type { ListPage } from "../../../src/backup/destinations/destination.ts";
import type { S3Destination } from "../../../src/backup/destinations/s3.ts";
import { MAX_WAITING_LISTINGS } from "../../../src/core/archive-limits.ts";
import { shareLimitOf } from "../../../src/local/archive-shares.ts";
import { ArchiveFolder, type ArchiveFolderOptions } from "../../../src/local/archive-folder.ts";
import { openS3At } from "../../support/open-s3.ts";
import { runScript } from "../../local/program.ts";
import { describeDestination, done, failed, text } from "../../backup/destinations/contract.ts";

const MIB = 1024 * 1024;

/** The folder's socket, reached over a port of this machine, because Node's fetch knows no Unix sockets. */
async function serve(folder: string, options?: ArchiveFolderOptions) {
  const sockets = mkdtempSync(join(tmpdir(), "cairn-folder-"));
  const path = join(sockets, "s");
  const stop = await ArchiveFolder.serve(folder, { path }, options);
  const bridge = createServer((socket) => {
    const there = connect(path);
    socket.pipe(there).pipe(socket);
    for (const one of [socket, there]) one.on("error", () => one.destroy());
  });
  await new Promise<void>((resolve) => bridge.listen(0, "127.0.0.1", resolve));
  // A server that listens on TCP has such an address.
  const { port } = bridge.address() as AddressInfo;
  const close = (): void => {
    stop();
    bridge.close();
    rmSync(sockets, { recursive: true, force: true });
  };
  const place = {
    endpoint: `http://127.0.0.1:${port}`,
    bucket: "archives",
    region: "auto",
    accessKeyId: "x",
    secretAccessKey: "x",
  };
  return {
    open: (prefix = ""): S3Destination => openS3At(place, { prefix }),
    url: `${place.endpoint}/archives/`,
    close,
  };
}

async function served(options?: ArchiveFolderOptions) {
  const folder = mkdtempSync(join(tmpdir(), "cairn-archives-"));
  const running = await serve(folder, options);
  onTestFinished(() => {
    running.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { ...running, folder };
}

describe("the contract", () => {
  const folder = mkdtempSync(join(tmpdir(), "cairn-archives-"));
  let close = (): void => undefined;
  afterAll(() => {
    close();
    rmSync(folder, { recursive: true, force: true });
  });
  describeDestination("a folder of the server", async () => {
    const running = await serve(folder);
    close = running.close;
    return running.open("some where/");
  });
});

test("an object is a file of its name, and nothing else is left", async () => {
  const { open, folder } = await served();
  done(await open("tenant/").put("db/archives/7.cairn", text("whole")));
  expect(readFileSync(join(folder, "tenant/db/archives/7.cairn"), "utf8")).toBe("whole");
  expect(readdirSync(join(folder, ".cairn-unfinished"))).toEqual([]);
});

test("an upload goes on after the program was started again (Z30)", async () => {
  const { open, folder, close } = await served();
  const { uploadId } = done(await open().startUpload("a/b"));
  const one = done(await open().putPart("a/b", uploadId, 1, new Uint8Array(5 * MIB).fill(1)));
  close();
  const again = await serve(folder);
  onTestFinished(again.close);
  const two = done(await again.open().putPart("a/b", uploadId, 2, text("end")));
  done(await again.open().completeUpload("a/b", uploadId, [one.part, two.part]));
  expect(done(await again.open().head("a/b")).size).toBe(5 * MIB + 3);
  expect(readdirSync(join(folder, ".cairn-unfinished"))).toEqual([]);
});

test("what a killed program has left unfinished is removed: puts at once, uploads after a week (Z30)", async () => {
  const { open, folder, close } = await served();
  const { uploadId } = done(await open().startUpload("old"));
  const unfinished = join(folder, ".cairn-unfinished");
  writeFileSync(join(unfinished, "half.put"), "half");
  const longAgo = new Date(Date.now() - 8 * 24 * 60 * 60 * 1000);
  for (const name of [uploadId, `${uploadId}.json`]) utimesSync(join(unfinished, name), longAgo, longAgo);
  close();
  const again = await serve(folder);
  onTestFinished(again.close);
  expect(readdirSync(unfinished)).toEqual([]);
});

/** Begins an upload, and returns where its parts go. */
async function begun(
  url: string,
  name: string,
): Promise<{ readonly id: string; readonly part: (n: number) => string }> {
  const answer = await fetch(`${url}${name}?uploads`, { method: "POST" });
  const id = /<UploadId>(.+)<\/UploadId>/.exec(await answer.text())?.[1] ?? "";
  return { id, part: (n) => `${url}${name}?uploadId=${id}&partNumber=${n}` };
}

test("after a kill or a power cut the program starts, whatever is left of an upload, and what cannot go on counts no more (Z30)", async () => {
  const { url, folder, close } = await served();
  const [complete, torn, whole] = [await begun(url, "o/a"), await begun(url, "o/b"), await begun(url, "o/c")];
  for (const { part } of [complete, torn, whole])
    expect((await fetch(part(1), { method: "PUT", body: "x" })).ok).toBe(true);
  close();
  const unfinished = join(folder, ".cairn-unfinished");
  mkdirSync(join(folder, "o"));
  renameSync(join(unfinished, complete.id), join(folder, "o/a"));
  writeFileSync(join(unfinished, `${torn.id}.json`), "");
  const again = await serve(folder, { share: { bytes: 3 } });
  onTestFinished(again.close);
  expect(readdirSync(unfinished).toSorted()).toEqual([whole.id, `${whole.id}.json`].toSorted());
  // One byte is stored, and one has arrived.
  expect((await again.open("o").put("d", text("x"))).ok).toBe(true);
  expect((await again.open("o").put("e", text("x"))).ok).toBe(false);
});

test("an upload whose notes could not be written once goes on, and is discarded (Z30)", async () => {
  const { url, folder } = await served();
  for (const [name, method] of [
    ["a", "POST"],
    ["b", "DELETE"],
  ] as const) {
    const { id, part } = await begun(url, name);
    const inTheWay = join(folder, ".cairn-unfinished", `${id}.put`);
    mkdirSync(inTheWay);
    expect((await fetch(part(1), { method: "PUT", body: "x" })).ok).toBe(false);
    rmSync(inTheWay, { recursive: true });
    const sentAgain = method === "DELETE" || (await fetch(part(1), { method: "PUT", body: "x" })).ok;
    expect(sentAgain).toBe(true);
    const body = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>";
    const ended = await fetch(`${url}${name}?uploadId=${id}`, { method, ...(method === "POST" && { body }) });
    expect([method, ended.ok]).toEqual([method, true]);
    expect(readdirSync(join(folder, ".cairn-unfinished"))).toEqual([]);
  }
});

test("a part that is on its way when its upload is discarded leaves nothing (Z30)", async () => {
  const { url, folder } = await served();
  const { id, part } = await begun(url, "a");
  const sent = request(part(1), { method: "PUT", headers: { "content-length": "2" } });
  const answered = new Promise((resolve) => {
    sent.once("response", resolve);
    sent.once("error", resolve);
  });
  sent.write("x");
  const unfinished = join(folder, ".cairn-unfinished");
  await expect.poll(() => statSync(join(unfinished, id)).size).toBe(1);
  expect((await fetch(`${url}a?uploadId=${id}`, { method: "DELETE" })).status).toBe(204);
  sent.end("y");
  await answered;
  expect(readdirSync(unfinished)).toEqual([]);
});

test("an upload that nobody goes on with for a week counts no more, while the program runs (Z36)", async () => {
  const { open, folder } = await served({
    share: { bytes: 8 * MIB },
    measure: async () => ({ free: 1024 ** 3, size: 1024 ** 4 }),
  });
  const piece = new Uint8Array(6 * MIB);
  const { uploadId } = done(await open().startUpload("tenant/of-a-deleted-database"));
  done(await open().putPart("tenant/of-a-deleted-database", uploadId, 1, piece));
  const other = done(await open().startUpload("tenant/a"));
  expect(failed(await open().putPart("tenant/a", other.uploadId, 1, piece)).class).toBe("credentials");
  const unfinished = join(folder, ".cairn-unfinished");
  const longAgo = new Date(Date.now() - 8 * 24 * 60 * 60 * 1000);
  for (const name of [uploadId, `${uploadId}.json`]) utimesSync(join(unfinished, name), longAgo, longAgo);
  const next = done(await open().startUpload("tenant/b"));
  done(await open().putPart("tenant/b", next.uploadId, 1, piece));
  expect(readdirSync(unfinished).some((name) => name.startsWith(uploadId))).toBe(false);
});

test("a disk that is nearly full takes no archive, and says so", async () => {
  const { open } = await served({ measure: async () => ({ free: 128 * MIB + 20, size: 1024 ** 4 }) });
  done(await open().put("small", text("0123456789")));
  const refused = failed(await open().put("large", text("0123456789abcdefghijk")));
  expect(refused).toMatchObject({ class: "retry", message: expect.stringContaining("no room for more objects") });
});

test("archives leave twice the reserve that the operator has set for the disk", async () => {
  const { open } = await served({ reserve: MIB, measure: async () => ({ free: 2 * MIB + 20, size: 1024 ** 4 }) });
  done(await open().put("small", text("0123456789")));
  expect(failed(await open().put("large", text("0123456789abcdefghijk")))).toMatchObject({
    message: expect.stringContaining("no room for more objects"),
  });
});

test.each([
  [{ part: 0.8 }, 32],
  [{ bytes: 12 * MIB }, 12],
])("the operator says how much of the folder one organization takes: %j (Z36)", async (share, most) => {
  const used = { bytes: 0 };
  const { open } = await served({
    share,
    measure: async () => ({ free: 128 * MIB + 40 * MIB - used.bytes, size: 1024 ** 4 }),
  });
  const piece = new Uint8Array(4 * MIB);
  for (let stored = 4; stored <= most; stored += 4) {
    done(await open().put(`greedy/${stored}`, piece));
    used.bytes += piece.length;
  }
  expect(failed(await open().put("greedy/more", piece))).toMatchObject({
    class: "credentials",
    message: expect.stringContaining("as much of the server's disk as one organization may"),
  });
  done(await open().put("other/a", piece));
});

test("CAIRN_ARCHIVE_SHARE is a percentage or MiB, and what is none is refused by name before anything is started", async () => {
  expect(shareLimitOf(undefined)).toBeNull();
  expect(shareLimitOf("")).toBeNull();
  expect(shareLimitOf("1%")).toEqual({ part: 0.01 });
  expect(shareLimitOf("100%")).toEqual({ part: 1 });
  expect(shareLimitOf("20480")).toEqual({ bytes: 20_480 * MIB });
  for (const value of ["0", "0%", "101%", "0.5", "-1", "1G", "much", " 1", "50 %", "9".repeat(10)]) {
    expect(shareLimitOf(value)).toMatchObject({ code: "invalid", message: expect.stringContaining(`got "${value}"`) });
  }
  const folder = mkdtempSync(join(tmpdir(), "cairn-archives-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const refused = runScript("start", ["--port", "0", "--persist-to", folder], { CAIRN_ARCHIVE_SHARE: "0.9" });
  expect(await refused.exited).toBe(1);
  expect(refused.stderr()).toBe(
    'CAIRN_ARCHIVE_SHARE must be a percentage from 1% to 100%, or a whole number of MiB, as 90% or 20480, got "0.9".\n',
  );
});

test("an organization takes no more than it leaves free for others, and is told so (Z36)", async () => {
  const used = { bytes: 0 };
  const room = 40 * MIB;
  const { open, folder, close } = await served({
    measure: async () => ({ free: 128 * MIB + room - used.bytes, size: 1024 ** 4 }),
  });
  const piece = new Uint8Array(5 * MIB);
  const put = async (name: string, place = open()) => {
    const outcome = await place.put(name, piece);
    if (outcome.ok) used.bytes += piece.length;
    return outcome;
  };
  const share = {
    class: "credentials",
    message: expect.stringContaining("as much of the server's disk as one organization may"),
  };
  for (const name of ["greedy/a", "greedy/b/c", "greedy/d"]) done(await put(name));
  // What has arrived of an upload counts, too.
  const { uploadId } = done(await open().startUpload("greedy/e"));
  done(await open().putPart("greedy/e", uploadId, 1, piece));
  used.bytes += piece.length;
  expect(failed(await open().putPart("greedy/e", uploadId, 2, piece))).toMatchObject(share);
  expect(failed(await put("greedy/f"))).toMatchObject(share);
  for (const name of ["other/a", "other/b"]) done(await put(name));
  // After a start, too.
  close();
  const again = await serve(folder, {
    measure: async () => ({ free: 128 * MIB + room - used.bytes, size: 1024 ** 4 }),
  });
  onTestFinished(again.close);
  expect(failed(await put("greedy/f", again.open()))).toMatchObject(share);
  done(await put("third/a", again.open()));
  for (const name of ["greedy/a", "greedy/b/c", "greedy/d"]) {
    done(await again.open().delete(name));
    used.bytes -= piece.length;
  }
  done(await put("greedy/f", again.open()));
});

test("no name leads out of the folder or into what is unfinished", async () => {
  const { url, folder } = await served();
  const outside = join(folder, "..", "outside-of-archives");
  for (const name of [
    "..%2Foutside-of-archives",
    "a/..%2F..%2Foutside-of-archives",
    "a%00b",
    ".cairn-unfinished/x",
    "a//b",
  ]) {
    const answer = await fetch(url + name, { method: "PUT", body: "x" });
    expect([name, answer.status]).toEqual([name, 400]);
  }
  expect(existsSync(outside)).toBe(false);
});

test("a folder with many files is listed in order, in pages, however its names lie (Z38)", async () => {
  const { open, folder } = await served();
  const names: string[] = [];
  for (const below of ["o/a", "o/b", "o/b/c", "o/b-", "o/d/e", "p"]) {
    mkdirSync(join(folder, below), { recursive: true });
    for (let i = 0; i < 700; i++) names.push(`${below}/${String((i * 463) % 1000).padStart(4, "0")}`);
  }
  mkdirSync(join(folder, "o/empty"));
  for (const name of names) writeFileSync(join(folder, name), "x");
  const wanted = names.filter((name) => name.startsWith("o/")).map((name) => name.slice(2));
  for (const limit of [1000, 699, 350]) {
    const seen: string[] = [];
    for (let after: string | null = ""; after !== null;) {
      const page: ListPage = done(await open("o").list("", after === "" ? { limit } : { after, limit }));
      seen.push(...page.objects.map(({ name }) => name));
      after = page.next;
    }
    expect(seen).toEqual(wanted.toSorted());
  }
});

test("listings of one organization keep no other waiting, and only some of them wait (Z38)", async () => {
  const { open, url, folder } = await served();
  for (const owner of ["o", "p"]) mkdirSync(join(folder, owner));
  for (let i = 0; i < 3000; i++) writeFileSync(join(folder, "o", String(i)), "");
  writeFileSync(join(folder, "p/x"), "");
  const order: string[] = [];
  const asked = Array.from({ length: 30 }, async () => {
    const answer = await fetch(`${url}?list-type=2&prefix=o/`);
    order.push("o");
    return [answer.status, await answer.text()] as const;
  });
  const ofOther = async () => {
    const page = await open("p").list("");
    order.push("p");
    return done(page);
  };
  const other = ofOther();
  const answers = await Promise.all(asked);
  expect((await other).objects).toHaveLength(1);
  const refused = answers.filter(([status]) => status === 503);
  expect(refused.length).toBeGreaterThan(0);
  for (const [, body] of refused) expect(body).toContain("SlowDown");
  expect(answers.filter(([status]) => status === 200).length).toBeGreaterThanOrEqual(MAX_WAITING_LISTINGS);
  // After those that were refused at once, and at most two of the others.
  expect(order.indexOf("p")).toBeLessThanOrEqual(refused.length + 2);
});

test("with the last object in a folder the folder goes, and one that is stored at that moment is stored", async () => {
  const { open, folder } = await served();
  const place = open("o");
  done(await place.put("a/b/c", text("x")));
  done(await place.put("a/d", text("x")));
  done(await place.delete("a/b/c"));
  expect(readdirSync(join(folder, "o/a"))).toEqual(["d"]);
  done(await place.delete("a/d"));
  expect(readdirSync(folder)).toEqual([".cairn-unfinished"]);
  for (let i = 0; i < 30; i++) {
    done(await place.put("a/one", text("x")));
    const [, put] = await Promise.all([place.delete("a/one"), place.put("a/two", text("y"))]);
    done(put);
    expect(readdirSync(join(folder, "o/a"))).toEqual(["two"]);
    done(await place.delete("a/two"));
  }
});

test("what many requests at once take is counted whole (Z36)", async () => {
  const { open } = await served({ share: { bytes: 10 } });
  const puts = await Promise.all(Array.from({ length: 20 }, (_, i) => open("o").put(String(i), text("xx"))));
  expect(puts.filter(({ ok }) => ok)).toHaveLength(5);
  done(await open("o").delete(String(puts.findIndex(({ ok }) => ok))));
  const again = await Promise.all(Array.from({ length: 20 }, (_, i) => open("o").put(`again${i}`, text("xx"))));
  expect(again.filter(({ ok }) => ok)).toHaveLength(1);
});

test("where a file lies, no folder is made, and the message says which", async () => {
  const { open } = await served();
  done(await open().put("a", text("file")));
  expect(failed(await open().put("a/b", text("x")))).toMatchObject({
    message: expect.stringContaining("has an object where a folder of the prefix is to be"),
  });
});
