/** Conditions on the entity tag of what is asked for (RFC 9110, sections 13.1 and 13.2.2). */

/** What a read is answered instead of what it asks for. null: no condition stands against it. */
export function statusByCondition(headers: Headers, etag: string): 304 | 412 | null {
  const wanted = headers.get("if-match");
  if (wanted !== null && !isAny(wanted) && !tagsOf(wanted).includes(etag)) return 412;
  return isKnown(headers, etag) ? 304 : null;
}

/** Whether the client has this already. */
export function isKnown(headers: Headers, etag: string): boolean {
  const known = headers.get("if-none-match");
  return known !== null && (isAny(known) || tagsOf(known).some((tag) => tag.replace(/^W\//, "") === etag));
}

function isAny(condition: string): boolean {
  return condition.trim() === "*";
}

function tagsOf(condition: string): string[] {
  return condition.split(",").map((tag) => tag.trim());
}
