/**
 * A folder of this machine as a destination for archives. It is served to workerd over a Unix socket that only this user can open, in the
 * part of S3's protocol that the driver `backup/destinations/s3.ts` speaks. So archives in a folder are retried, read in ranges and
 * uploaded in parts by the same code as those in a bucket. Signatures are not checked: the socket decides who asks.
 *
 * An object is a file of the same name. A file appears whole or not at all: it is written beside, flushed to the disk, and renamed.
 */
import { randomUUID } from "node:crypto";
import { createReadStream, existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { mkdir, open, rename, rm, rmdir, stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { dirname, join } from "node:path";
import { finished, pipeline } from "node:stream/promises";
import { ARCHIVE_FOLDER_RESERVES, MAX_ARCHIVE_FOLDER_BODY_BYTES } from "../core/archive-limits.ts";
import { type DiskSize, measureDisk, reserveOn } from "./disk-space.ts";
import type { UnixAddress } from "./process-address.ts";
import { ArchiveListings } from "./archive-listing.ts";
import { ArchiveShares, ownerOf, type ShareLimit } from "./archive-shares.ts";
import { partNumbersIn, xmlError, xmlListing, xmlUploadId, XML_COMPLETED } from "./archive-folder-xml.ts";
import { PartialFile, writeAt } from "./partial-file.ts";

/** Below the folder: what is not whole yet. No object has such a name. */
const UNFINISHED = ".cairn-unfinished";

/** What nobody has touched for so long belongs to nothing that still goes on. */
const FORGOTTEN_MS = 7 * 24 * 60 * 60 * 1000;

/** Each time, somebody has removed the folder of the object. */
const MAX_TRIES_TO_APPEAR = 10;

export interface ArchiveFolderOptions {
  readonly measure?: (folder: string) => Promise<DiskSize>;
  /** Bytes of the disk that writes leave free. null: not given. */
  readonly reserve?: number | null;
  /** What one organization takes at most. null: not given. */
  readonly share?: ShareLimit | null;
}

/** An answer other than success. */
class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string) {
    super(code);
    this.status = status;
    this.code = code;
  }
}

export class ArchiveFolder {
  readonly #folder: string;
  readonly #measure: (folder: string) => Promise<DiskSize>;
  readonly #reserve: number | null;
  /** The last change of each object that is under way, by the object's name. */
  readonly #changes = new Map<string, Promise<unknown>>();
  readonly #uploads: Map<string, PartialFile>;
  readonly #unfinished: string;
  readonly #shares: ArchiveShares;
  readonly #listings: ArchiveListings;

  private constructor(folder: string, { measure = measureDisk, reserve = null, share = null }: ArchiveFolderOptions) {
    this.#folder = folder;
    this.#measure = measure;
    this.#reserve = reserve;
    this.#unfinished = join(folder, UNFINISHED);
    const isUsed = existsSync(this.#unfinished);
    if (isUsed) forgetOld(this.#unfinished);
    this.#uploads = isUsed ? PartialFile.allIn(this.#unfinished) : new Map();
    this.#listings = new ArchiveListings(folder, (name) => name === UNFINISHED);
    this.#shares = new ArchiveShares(folder, share, (owner) => {
      const own = [...this.#uploads.values()].filter(({ name }) => ownerOf(name) === owner);
      return own.reduce((sum, { size }) => sum + size, 0);
    });
  }

  /** The first write makes the folder if it is missing. Returns what ends the serving. */
  static async serve(folder: string, { path }: UnixAddress, options: ArchiveFolderOptions = {}): Promise<() => void> {
    const served = new ArchiveFolder(folder, options);
    const server = createServer((request, response) => void served.#answer(request, response));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, resolve);
    });
    server.unref();
    return () => {
      server.close();
      server.closeAllConnections();
    };
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#carryOut(request, response);
    } catch (error) {
      // A client that went away gets no answer, and what it had sent is gone.
      if (response.headersSent || response.destroyed) return void response.destroy();
      const { status, code } = refusalOf(error);
      if (status === 500) process.stderr.write(`The folder of archives ${this.#folder}: ${String(error)}\n`);
      // A sender whose body is not read sees a broken connection instead of the answer.
      if (Number(request.headers["content-length"]) <= MAX_ARCHIVE_FOLDER_BODY_BYTES) await read(request);
      const isHead = request.method === "HEAD";
      response.writeHead(status, { "content-type": "application/xml", connection: "close" });
      response.end(isHead ? undefined : xmlError(code));
    }
  }

  async #carryOut(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams: query } = new URL(request.url ?? "/", "http://folder");
    // The bucket's name comes first, and says nothing here.
    const [, , ...segments] = pathname.split("/").map(decodeURIComponent);
    const name = segments.join("/");
    const uploadId = query.get("uploadId");
    switch (request.method) {
      case "GET":
        return name === "" ? this.#list(query, response) : this.#get(name, request, response);
      case "HEAD":
        return this.#head(name, response);
      case "DELETE":
        if (uploadId !== null) await this.#drop(this.#upload(name, uploadId));
        else await this.#inTurn(name, () => this.#remove(name));
        return void response.writeHead(204).end();
      case "PUT":
        return uploadId === null
          ? this.#put(name, request, response)
          : this.#putPart(name, uploadId, query, request, response);
      case "POST":
        return uploadId === null ? this.#begin(name, response) : this.#complete(name, uploadId, request, response);
      default:
        throw new Refusal(501, "NotImplemented");
    }
  }

  async #get(name: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = this.#path(name);
    const { size, etag } = await this.#stat(name);
    const [, first, last] = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(request.headers.range ?? "") ?? [];
    if (first === undefined) {
      response.writeHead(200, { "content-length": size, etag });
      return size === 0 ? void response.end() : pipeline(createReadStream(path), response);
    }
    const [start, end] = [Number(first), Math.min(Number(last), size - 1)];
    if (start >= size || end < start) throw new Refusal(416, "InvalidRange");
    const range = `bytes ${start}-${end}/${size}`;
    response.writeHead(206, { "content-length": end - start + 1, "content-range": range, etag });
    return pipeline(createReadStream(path, { start, end }), response);
  }

  async #head(name: string, response: ServerResponse): Promise<void> {
    const { size, etag, modified } = await this.#stat(name);
    response.writeHead(200, { "content-length": size, etag, "last-modified": modified.toUTCString() }).end();
  }

  async #put(name: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = this.#path(name);
    const bytes = await this.#checkRoom(name, request);
    await this.#makeFolders();
    const beside = join(this.#unfinished, `${randomUUID()}.put`);
    try {
      await store(request, beside);
      await this.#inTurn(name, async () => {
        await this.#checkCondition(name, request);
        await this.#appear(beside, path);
      });
    } catch (error) {
      await rm(beside, { force: true });
      this.#shares.giveBack(name, bytes);
      throw error;
    }
    const { etag } = await this.#stat(name);
    response.writeHead(200, { etag }).end();
  }

  async #begin(name: string, response: ServerResponse): Promise<void> {
    this.#path(name);
    await this.#makeFolders();
    await this.#dropForgotten();
    const upload = await PartialFile.begin(this.#unfinished, name);
    this.#uploads.set(upload.id, upload);
    answerXml(response, xmlUploadId(upload.id));
  }

  /** Uploads of databases that were deleted meanwhile, for example: nobody ends them. */
  async #dropForgotten(): Promise<void> {
    for (const upload of this.#uploads.values()) {
      const changedAt = await upload.changedAt();
      if (changedAt === null || Date.now() - changedAt <= FORGOTTEN_MS) continue;
      await this.#drop(upload);
    }
  }

  async #drop(upload: PartialFile): Promise<void> {
    await upload.discard();
    // Another request may have dropped it meanwhile.
    if (this.#uploads.delete(upload.id)) this.#shares.giveBack(upload.name, upload.size);
  }

  /** With the folders that have nothing else: each listing would look into them. */
  async #remove(name: string): Promise<void> {
    const path = this.#path(name);
    const { size } = await stat(path).catch(() => ({ size: 0 }));
    await rm(path, { force: true });
    this.#shares.giveBack(name, size);
    const folders = name.split("/").slice(0, -1);
    for (; folders.length > 0; folders.pop()) {
      const isEmpty = await rmdir(join(this.#folder, ...folders)).then(
        () => true,
        () => false,
      );
      if (!isEmpty) return;
    }
  }

  async #putPart(
    name: string,
    uploadId: string,
    query: URLSearchParams,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const upload = this.#upload(name, uploadId);
    const size = await this.#checkRoom(name, request);
    const etag = await upload.write(Number(query.get("partNumber")), size, request);
    // The first part says where the others lie: until it begins, they come again.
    if (etag === null) throw new Refusal(503, "SlowDown");
    response.writeHead(200, { etag }).end();
  }

  async #complete(name: string, uploadId: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const numbers = partNumbersIn(await textOf(request));
    await this.#inTurn(name, async () => {
      const upload = this.#upload(name, uploadId);
      const whole = await upload.finish(numbers);
      if (whole === null) throw new Refusal(400, "InvalidPart");
      await this.#appear(whole, this.#path(name));
      await upload.discard();
      this.#uploads.delete(uploadId);
    });
    answerXml(response, XML_COMPLETED);
  }

  async #list(query: URLSearchParams, response: ServerResponse): Promise<void> {
    const [prefix, after] = [query.get("prefix") ?? "", query.get("start-after") ?? ""];
    const limit = Math.min(1000, Number(query.get("max-keys") ?? "1000"));
    const found = await this.#listings.list({ prefix, after, limit });
    if (found === null) throw new Refusal(503, "SlowDown");
    answerXml(response, xmlListing(found.slice(0, limit), found.length > limit));
  }

  /** Runs after the changes of the same object that came before. */
  async #inTurn<T>(name: string, change: () => Promise<T>): Promise<T> {
    const before = this.#changes.get(name) ?? Promise.resolve();
    const run = before.then(change, change);
    const settled = run.catch(() => undefined);
    this.#changes.set(name, settled);
    try {
      return await run;
    } finally {
      if (this.#changes.get(name) === settled) this.#changes.delete(name);
    }
  }

  async #checkCondition(name: string, { headers }: IncomingMessage): Promise<void> {
    const [none, match] = [headers["if-none-match"], headers["if-match"]];
    if (none === undefined && match === undefined) return;
    const there = await this.#stat(name).catch(() => null);
    if (none !== undefined && there !== null) throw new Refusal(412, "PreconditionFailed");
    if (match !== undefined && there === null) throw new Refusal(404, "NoSuchKey");
    if (match !== undefined && there?.etag !== match) throw new Refusal(412, "PreconditionFailed");
  }

  /**
   * The announced length of the body. Archives leave the disk more than entries have to: a full disk must not stop the database. And no
   * organization takes more than its share.
   */
  async #checkRoom(name: string, { headers }: IncomingMessage): Promise<number> {
    const bytes = Number(headers["content-length"] ?? Number.NaN);
    if (!(bytes <= MAX_ARCHIVE_FOLDER_BODY_BYTES)) throw new Refusal(413, "EntityTooLarge");
    const { free, size } = await this.#measure(existsSync(this.#folder) ? this.#folder : dirname(this.#folder));
    const left = free - ARCHIVE_FOLDER_RESERVES * reserveOn(size, this.#reserve);
    if (bytes > left) throw new Refusal(507, "InsufficientCapacity");
    if (!(await this.#shares.take(name, bytes, left))) throw new Refusal(507, "CairnOrganizationShare");
    return bytes;
  }

  async #makeFolders(): Promise<void> {
    await mkdir(this.#unfinished, { recursive: true, mode: 0o700 });
  }

  /** The file takes its name. After a kill or a power cut it is there whole, or not at all. */
  async #appear(beside: string, path: string): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await mkdir(dirname(path), { recursive: true, mode: 0o700 });
        await rename(beside, path);
        break;
      } catch (error) {
        // The last object in the folder was removed meanwhile, and the folder with it.
        const isGone = error instanceof Error && "code" in error && error.code === "ENOENT";
        if (!isGone || tries === MAX_TRIES_TO_APPEAR || !existsSync(beside)) throw error;
      }
    }
    await flushed(dirname(path));
  }

  async #stat(name: string): Promise<{ readonly size: number; readonly etag: string; readonly modified: Date }> {
    const found = await stat(this.#path(name), { bigint: true });
    if (!found.isFile()) throw new Refusal(404, "NoSuchKey");
    const { size, mtimeNs, ino, mtime } = found;
    return { size: Number(size), etag: `"${mtimeNs.toString(36)}-${ino.toString(36)}-${size}"`, modified: mtime };
  }

  #upload(name: string, id: string): PartialFile {
    const upload = this.#uploads.get(id);
    if (upload === undefined || upload.name !== name) throw new Refusal(404, "NoSuchUpload");
    return upload;
  }

  /** Where the object lies: always inside of the folder. */
  #path(name: string): string {
    const segments = name.split("/");
    const isSound = segments.every((one) => one !== "" && one !== "." && one !== ".." && !/[\\\0]/.test(one));
    if (!isSound || segments[0] === UNFINISHED) throw new Refusal(400, "InvalidArgument");
    return join(this.#folder, ...segments);
  }
}

/** What is left of a body is read and dropped. */
async function read(request: IncomingMessage): Promise<void> {
  if (request.readableEnded || request.destroyed) return;
  request.resume();
  await finished(request).catch(() => undefined);
}

async function store(request: IncomingMessage, path: string): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await writeAt(file, 0, request);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function flushed(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function forgetOld(unfinished: string): void {
  for (const name of readdirSync(unfinished)) {
    const path = join(unfinished, name);
    if (Date.now() - statSync(path).mtimeMs > FORGOTTEN_MS || name.endsWith(".put")) rmSync(path, { force: true });
  }
}

function refusalOf(error: unknown): { readonly status: number; readonly code: string } {
  if (error instanceof Refusal) return error;
  switch (error instanceof Error && "code" in error ? error.code : undefined) {
    case "ENOENT":
      return { status: 404, code: "NoSuchKey" };
    case "ENOTDIR":
    case "EISDIR":
    case "EEXIST":
    case "ENOTEMPTY":
      return { status: 409, code: "ObjectParentIsFile" };
    case "ENOSPC":
    case "EDQUOT":
      return { status: 507, code: "InsufficientCapacity" };
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return { status: 403, code: "AccessDenied" };
    default:
      return { status: 500, code: "InternalError" };
  }
}

function answerXml(response: ServerResponse, xml: string): void {
  response.writeHead(200, { "content-type": "application/xml" }).end(xml);
}

async function textOf(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of request) {
    const bytes = piece as Buffer;
    length += bytes.length;
    if (length > MAX_ARCHIVE_FOLDER_BODY_BYTES) throw new Refusal(413, "EntityTooLarge");
    pieces.push(bytes);
  }
  return Buffer.concat(pieces).toString();
}
