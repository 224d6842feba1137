/** A file, or one range of it, as a client asks for it (RFC 9110, section 14). */

/** Both included. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/**
 * null: the whole file. A request for several ranges, or in another unit, gets the whole file, as RFC 9110 allows, and so does one with
 * `If-Range` and the entity tag of another file.
 */
export function rangeOf(headers: Headers, size: number, etag: string): ByteRange | null | "unsatisfiable" {
  const [, from, to] = /^bytes=(\d*)-(\d*)$/i.exec(headers.get("range")?.replaceAll(" ", "") ?? "") ?? [];
  if (from === undefined || to === undefined || (from === "" && to === "")) return null;
  const condition = headers.get("if-range");
  if (condition !== null && condition !== etag) return null;
  // Without a beginning it is so many last bytes.
  const first = from === "" ? Math.max(0, size - Number(to)) : Number(from);
  const last = from === "" || to === "" ? size - 1 : Math.min(Number(to), size - 1);
  if (from !== "" && to !== "" && Number(to) < first) return null;
  return first > last ? "unsatisfiable" : { first, last };
}

/** The status of the answer, whose headers then say which bytes are in it. */
export function describeRange(headers: Headers, size: number, range: ByteRange | null): 200 | 206 {
  headers.set("accept-ranges", "bytes");
  headers.set("content-length", String(range === null ? size : range.last - range.first + 1));
  if (range === null) return 200;
  headers.set("content-range", `bytes ${range.first}-${range.last}/${size}`);
  return 206;
}
