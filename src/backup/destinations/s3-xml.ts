/**
 * The few XML answers of S3 that are read, and the one body that is sent. An answer counts only when it is well-formed to its
 * end and has the root that belongs to the request: half a listing must never look like a short one.
 */
import { MalformedXml, XmlReader } from "./xml-reader.ts";

export interface ListAnswer {
  readonly objects: readonly { readonly key: string; readonly size: number }[];
  readonly truncated: boolean;
}

/** undefined when it is no ListBucketResult, or has more than `maxObjects`. */
export function parseListAnswer(bytes: Uint8Array, maxObjects: number): ListAnswer | undefined {
  return readRoot(bytes, "ListBucketResult", (reader) => {
    const objects: { key: string; size: number }[] = [];
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

function readObject(reader: XmlReader): { key: string; size: number } {
  let key: string | undefined;
  let size: string | undefined;
  while (reader.nextChild()) {
    if (reader.name === "Key") key = once(key, reader.text());
    else if (reader.name === "Size") size = once(size, reader.text());
    else reader.skip();
  }
  if (key === undefined || size === undefined || !/^\d{1,15}$/.test(size)) {
    throw new MalformedXml("The listing has an object without a key or a size.");
  }
  return { key, size: Number(size) };
}

/** The Code of an S3 error; null when the body is none. */
export function parseErrorCode(bytes: Uint8Array): string | null {
  return readElement(bytes, "Error", "Code") ?? null;
}

export function parseUploadId(bytes: Uint8Array): string | undefined {
  const id = readElement(bytes, "InitiateMultipartUploadResult", "UploadId");
  return id !== undefined && /^[\x21-\x7e]{1,2048}$/.test(id) ? id : undefined;
}

export function isCompleteAnswer(bytes: Uint8Array): boolean {
  const complete = readRoot(bytes, "CompleteMultipartUploadResult", (reader) => {
    reader.skip();
    return true;
  });
  return complete === true;
}

/** ETags are the destination's words and so are escaped. */
export function completeUploadBody(parts: readonly { readonly number: number; readonly etag: string }[]): string {
  const items = parts.map(
    (part) => `<Part><PartNumber>${part.number}</PartNumber><ETag>${escapeXml(part.etag)}</ETag></Part>`,
  );
  return `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${items.join("")}</CompleteMultipartUpload>`;
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

/** The text of the root's child of this name; undefined when there is none, or more than one. */
function readElement(bytes: Uint8Array, root: string, name: string): string | undefined {
  return readRoot(bytes, root, (reader) => {
    let found: string | undefined;
    while (reader.nextChild()) {
      if (reader.name === name) found = once(found, reader.text());
      else reader.skip();
    }
    return found;
  });
}

/** What `read` makes of the root element, which it leaves; undefined when the document is malformed or has another root. */
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
