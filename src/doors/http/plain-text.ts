/** Answers that are a sentence. */

export function plainText(status: number, text: string, more: Readonly<Record<string, string>> = {}): Response {
  return new Response(text, { status, headers: { "content-type": "text/plain; charset=utf-8", ...more } });
}

/** A host that none can have is part of the URL as it came. */
export function malformedUrl(): Response {
  return plainText(400, "The host or the path of the request is malformed.");
}
