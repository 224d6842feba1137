/** docs/archive-format.md: its bytes, read by a reader that is written from the page alone, and by the package that the page names. */
import { execFile } from "node:child_process";
import { createDecipheriv, createHash, hkdfSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { extractArchive, verifyArchive } from "../../src/client/archive.ts";
import {
  MAX_ARCHIVE_BODY_BYTES,
  MAX_ARCHIVE_CHUNK_BYTES,
  MAX_ARCHIVE_CHUNK_ENTRIES,
  MAX_ARCHIVE_SETTINGS_BYTES,
  MAX_ARCHIVE_HEADER_BYTES,
} from "../../src/core/archive-format-limits.ts";
import { temporaryFolder } from "../local/stand-in-server.ts";
import { installPackage } from "../support/packed-package.ts";
import { codeBlocks, readPage } from "./markdown.ts";

const page = readPage("docs/archive-format.md");
const blocks = codeBlocks(page);
const parts = blocks
  .filter(({ language }) => language === "hex")
  .map(({ text }) => Buffer.from(text.replaceAll(/\s/g, ""), "hex"));
const plain = Buffer.concat(parts.slice(0, 3));
const encrypted = Buffer.concat(parts.slice(3));
const line = blocks.findLast(({ language }) => language === "json")?.text ?? "";
const [, keys = ""] = /`(k1:[A-Za-z0-9+/=]+)`/.exec(page) ?? [];

/** The fields of a message: varints as numbers, everything else as bytes. */
function fieldsOf(message: Buffer): Map<number, Buffer | number> {
  const fields = new Map<number, Buffer | number>();
  let at = 0;
  const varint = (): number => {
    let [value, factor] = [0, 1];
    for (;;) {
      const byte = message[at] ?? 0;
      at += 1;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 128;
    }
  };
  while (at < message.length) {
    const tag = varint();
    if ((tag & 7) === 0) {
      fields.set(tag >>> 3, varint());
      continue;
    }
    const length = varint();
    fields.set(tag >>> 3, message.subarray(at, at + length));
    at += length;
  }
  return fields;
}

const bytesAt = (fields: Map<number, Buffer | number>, number: number): Buffer => {
  const value = fields.get(number);
  return Buffer.isBuffer(value) ? value : Buffer.alloc(0);
};

/** What the page says, and nothing of our code. */
function readByThePage(
  file: Buffer,
  secret: Buffer,
): { header: Map<number, Buffer | number>; contents: [number, Buffer][] } {
  expect(file.subarray(0, 8).toString("hex")).toBe("89434149524e0d0a");
  expect(file.readUInt16BE(8)).toBe(1);
  const end = 14 + file.readUInt32BE(10);
  const hash = createHash("sha256").update(file.subarray(0, end)).digest();
  expect(file.subarray(end, end + 32)).toEqual(hash);
  const header = fieldsOf(file.subarray(14, end));
  const isEncrypted = header.get(7) === 1;
  const derive = (info: string, length: number) =>
    Buffer.from(hkdfSync("sha256", secret, bytesAt(header, 5), Buffer.from(info), length));
  expect(isEncrypted ? bytesAt(header, 9) : derive("cairn archive 1 key check", 16)).toEqual(
    derive("cairn archive 1 key check", 16),
  );
  const contents: [number, Buffer][] = [];
  let at = end + 32;
  for (let index = 0; at < file.length; index++) {
    const head = file.subarray(at, at + 9);
    const length = head.readUInt32BE(0);
    const body = file.subarray(at + 9, at + 9 + length);
    const tag = file.subarray(at + 9 + length, at + 25 + length);
    const nonce = Buffer.alloc(12);
    nonce.writeUInt32BE(head.readUInt32BE(5), 0);
    nonce.writeBigUInt64BE(BigInt(index), 4);
    const associated = Buffer.concat([hash, nonce, head]);
    expect(associated.length).toBe(53);
    const decrypted = (): Buffer => {
      const decipher = createDecipheriv("aes-256-gcm", derive("cairn archive 1 body", 32), nonce);
      decipher.setAAD(associated).setAuthTag(tag);
      return Buffer.concat([decipher.update(body), decipher.final()]);
    };
    const ownTag = createHash("sha256").update(associated).update(body).digest().subarray(0, 16);
    expect(isEncrypted ? ownTag.length : tag).toEqual(isEncrypted ? 16 : ownTag);
    const compressed = isEncrypted ? decrypted() : body;
    contents.push([head[4] ?? 0, gunzipSync(compressed)]);
    at += 25 + length;
  }
  expect(at).toBe(file.length);
  return { header, contents };
}

test("the example bytes are what the page says, by a reader that is written from the page", () => {
  const secret = Buffer.from(keys.slice(3), "base64");
  expect(secret).toEqual(Buffer.alloc(32, 7));
  for (const [file, names] of [
    [plain, ["none", undefined]],
    [encrypted, ["k1", 1]],
  ] as const) {
    const { header, contents } = readByThePage(file, secret);
    expect([header.has(8) ? bytesAt(header, 8).toString() : "none", header.get(7)]).toEqual(names);
    expect(bytesAt(header, 2).toString("hex")).toBe("0006448ee64b40000000");
    expect(contents.map(([kind]) => kind)).toEqual([1, 3]);
    const entry = fieldsOf(bytesAt(fieldsOf(contents[0]?.[1] ?? Buffer.alloc(0)), 1));
    expect(bytesAt(entry, 2).toString()).toBe("hello");
    const stamp = `${Number(entry.get(4)).toString(16).padStart(16, "0")}0000`;
    expect(line).toContain(`"versionstamp":"${stamp}"`);
    expect(line).toContain(new Date(Number(entry.get(5))).toISOString());
    const [, end] = contents[1] ?? [];
    expect([...fieldsOf(end ?? Buffer.alloc(0)).values()]).toEqual([1, 1, bytesAt(entry, 1).length + 5]);
  }
});

test("our reader extracts what the page says, from both files", async () => {
  for (const file of [plain, encrypted]) {
    const lines: string[] = [];
    for await (const text of extractArchive([file], { keys })) lines.push(text);
    expect(lines.join("")).toBe(line);
    expect(await verifyArchive([file], { keys })).toMatchObject({ entries: 1, size: file.length });
  }
});

test("the limits of the page are those of the code", () => {
  for (const limit of [
    MAX_ARCHIVE_HEADER_BYTES,
    MAX_ARCHIVE_BODY_BYTES,
    MAX_ARCHIVE_CHUNK_BYTES,
    MAX_ARCHIVE_CHUNK_ENTRIES,
    MAX_ARCHIVE_SETTINGS_BYTES,
  ]) {
    expect(page).toContain(`at most ${limit.toLocaleString("en")}`);
  }
});

test("the page's program works with the installed package (Z9)", async () => {
  const folder = temporaryFolder();
  await installPackage(folder);
  const program = blocks.find(({ language }) => language === "js")?.text ?? "";
  writeFileSync(join(folder, "read.mjs"), program);
  writeFileSync(join(folder, "example.cairn"), encrypted);
  const run = promisify(execFile);
  const answer = async (action: string) => {
    const env = { ...process.env, CAIRN_ENCRYPTION_KEYS: keys };
    return (await run(process.execPath, ["read.mjs", action, "example.cairn"], { cwd: folder, env })).stdout;
  };
  const [described, verified, listed, extracted] = await Promise.all(
    ["describe", "verify", "list", "extract"].map(answer),
  );
  expect(described).toContain("keyId: 'k1'");
  expect(verified).toContain(`size: ${encrypted.length}`);
  expect(JSON.parse(listed ?? "")).toMatchObject({ valueBytes: 5, encoding: "bytes", key: JSON.parse(line).key });
  expect(extracted).toBe(line);
});
