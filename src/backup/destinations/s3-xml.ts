/**
 * The few XML answers of S3 that are read, and the one XML body that is sent. An answer counts only when it is well-formed to its end and
 * has the expected root element: half a listing must never look like a short one.
 */
import { MalformedXml, XmlReader } from "./xml-reader.ts";

interface ListedKey {
  readonly key: string;
  readonly size: number;
  /** As the server wrote it. null: it did not say. */
  readonly lastModified: string | null;
}

export interface ListAnswer {
  readonly objects: readonly ListedKey[];
  readonly truncated: boolean;
}

/** undefined when it is no ListBucketResult, or has more than `maxObjects`. */
export function parseListAnswer(bytes: Uint8Array, maxObjects: number): ListAnswer | undefined {
  return readRoot(bytes, "ListBucketResult", (reader) => {
    const objects: ListedKey[] = [];
    let truncated: string | undefined;
    while (reader.nextChild()) {
      if (reader.name === "IsTruncated") truncated = once(truncated, reader.text());
      else if (reader.name === "Contents") objects.push(readObject(reader));
      else reader.skip();
      if (objects.length > maxObjects) throw new MalformedXml(`The listing has more than ${maxObjects} objects.`);
    }
    if (truncated !== "true" && truncated !== "false")
      throw new MalformedXml("The listing does not say whether it ends.");
    return { objects, truncated: truncated === "true" };
  });
}

function readObject(reader: XmlReader): ListedKey {
  let key: string | undefined;
  let size: string | undefined;
  let lastModified: string | undefined;
  while (reader.nextChild()) {
    if (reader.name === "Key") key = once(key, reader.text());
    else if (reader.name === "Size") size = once(size, reader.text());
    else if (reader.name === "LastModified") lastModified = once(lastModified, reader.text());
    else reader.skip();
  }
  if (key === undefined || size === undefined || !/^\d{1,15}$/.test(size)) {
    throw new MalformedXml("The listing has an object without a key or a size.");
  }
  return { key, size: Number(size), lastModified: lastModified ?? null };
}

/** What is read of an S3 error: its code, and the bucket's region if it names one. */
export interface ErrorBody {
  readonly code: string | null;
  readonly region: string | null;
}

/** Both are null when the body is no S3 error. */
export function parseError(bytes: Uint8Array): ErrorBody {
  const [code, region] = readElements(bytes, "Error", ["Code", "Region"]) ?? [];
  return { code: code ?? null, region: region ?? null };
}

export function parseUploadId(bytes: Uint8Array): string | undefined {
  const [id] = readElements(bytes, "InitiateMultipartUploadResult", ["UploadId"]) ?? [];
  return id !== undefined && /^[\x21-\x7e]{1,2048}$/.test(id) ? id : undefined;
}

/** The ids of the uploads of this key. undefined: this is no such list. */
export function parseUploads(bytes: Uint8Array, key: string): readonly string[] | undefined {
  return readRoot(bytes, "ListMultipartUploadsResult", (reader) => {
    const ids: string[] = [];
    while (reader.nextChild()) {
      if (reader.name === "Upload") {
        const upload = readUpload(reader);
        // The list has what begins with the key, too.
        if (upload.key === key && upload.id !== undefined) ids.push(upload.id);
      } else {
        reader.skip();
      }
    }
    return ids;
  });
}

function readUpload(reader: XmlReader): { readonly key: string | undefined; readonly id: string | undefined } {
  let key: string | undefined;
  let id: string | undefined;
  while (reader.nextChild()) {
    if (reader.name === "Key") key = once(key, reader.text());
    else if (reader.name === "UploadId") id = once(id, reader.text());
    else reader.skip();
  }
  return { key, id };
}

export function isCompleteAnswer(bytes: Uint8Array): boolean {
  const complete = readRoot(bytes, "CompleteMultipartUploadResult", (reader) => {
    reader.skip();
    return true;
  });
  return complete === true;
}

/** ETags come from the destination, so they are escaped. */
export function completeUploadBody(parts: readonly { readonly number: number; readonly etag: string }[]): string {
  const items = parts.map(
    (part) => `<Part><PartNumber>${part.number}</PartNumber><ETag>${escapeXml(part.etag)}</ETag></Part>`,
  );
  return `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${items.join("")}</CompleteMultipartUpload>`;
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

/** The texts of the root's children with these names. undefined when one of them comes twice, or the root is another. */
function readElements(
  bytes: Uint8Array,
  root: string,
  names: readonly string[],
): readonly (string | undefined)[] | undefined {
  return readRoot(bytes, root, (reader) => {
    const found = new Map<string, string>();
    while (reader.nextChild()) {
      const { name } = reader;
      if (names.includes(name)) found.set(name, once(found.get(name), reader.text()));
      else reader.skip();
    }
    return names.map((name) => found.get(name));
  });
}

/** The result of `read` for the root element, which `read` must leave. undefined when the document is malformed or has another root. */
function readRoot<T>(bytes: Uint8Array, name: string, read: (reader: XmlReader) => T): T | undefined {
  const reader = new XmlReader(new TextDecoder().decode(bytes));
  try {
    reader.enterRoot();
    if (reader.name !== name) return undefined;
    const value = read(reader);
    reader.end();
    return value;
  } catch (error) {
    if (error instanceof MalformedXml) return undefined;
    throw error;
  }
}

function once(before: string | undefined, text: string): string {
  if (before !== undefined) throw new MalformedXml("An element comes twice that belongs there once.");
  return text;
}
