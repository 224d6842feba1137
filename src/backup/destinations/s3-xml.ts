/**
 * The few XML answers of S3 that are read, and the one body that is sent. An answer counts only when it is well-formed to its
 * end and has the root that belongs to the request: half a listing must never look like a short one.
 */
import { XMLParser, XMLValidator } from "fast-xml-parser";

/** A body without external or declared entities is all that S3 sends; the five of XML itself are decoded. */
const parser = new XMLParser({
  ignoreAttributes: true,
  removeNSPrefix: true,
  parseTagValue: false,
  trimValues: false,
  maxNestedTags: 16,
  isArray: (tag) => tag === "Contents",
});

export interface ListAnswer {
  readonly objects: readonly { readonly key: string; readonly size: number }[];
  readonly truncated: boolean;
}

/** undefined when it is no ListBucketResult. */
export function parseListAnswer(bytes: Uint8Array): ListAnswer | undefined {
  const list = rootElement(bytes, "ListBucketResult");
  if (list === undefined) return undefined;
  const truncated = list["IsTruncated"];
  if (truncated !== "true" && truncated !== "false") return undefined;
  const contents: unknown = list["Contents"] ?? [];
  if (!Array.isArray(contents)) return undefined;
  const objects: { key: string; size: number }[] = [];
  for (const item of contents) {
    if (!isRecord(item)) return undefined;
    const key = item["Key"];
    const size = item["Size"];
    if (typeof key !== "string" || typeof size !== "string" || !/^\d{1,15}$/.test(size)) return undefined;
    objects.push({ key, size: Number(size) });
  }
  return { objects, truncated: truncated === "true" };
}

/** The Code of an S3 error; null when the body is none. */
export function parseErrorCode(bytes: Uint8Array): string | null {
  const code = rootElement(bytes, "Error")?.["Code"];
  return typeof code === "string" ? code : null;
}

export function parseUploadId(bytes: Uint8Array): string | undefined {
  const id = rootElement(bytes, "InitiateMultipartUploadResult")?.["UploadId"];
  return typeof id === "string" && /^[\x21-\x7e]{1,2048}$/.test(id) ? id : undefined;
}

export function isCompleteAnswer(bytes: Uint8Array): boolean {
  return rootElement(bytes, "CompleteMultipartUploadResult") !== undefined;
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

function rootElement(bytes: Uint8Array, name: string): Record<string, unknown> | undefined {
  const text = new TextDecoder().decode(bytes);
  if (text.includes("<!DOCTYPE") || XMLValidator.validate(text) !== true) return undefined;
  const document: unknown = parser.parse(text);
  const root = isRecord(document) ? document[name] : undefined;
  // An element without children is an empty string to the parser.
  return isRecord(root) ? root : root === "" ? {} : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
