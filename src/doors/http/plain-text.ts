/** Answers that are a sentence. */

/** One that is not a `Response` yet: the local front has none. */
export interface Sentence {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string>>;
}

export function sentence(status: number, text: string, more: Readonly<Record<string, string>> = {}): Sentence {
  return { status, text, headers: { "content-type": "text/plain; charset=utf-8", ...more } };
}

export function sentenceResponse({ status, text, headers }: Sentence): Response {
  return new Response(text, { status, headers });
}

export function plainText(status: number, text: string, more?: Readonly<Record<string, string>>): Response {
  return sentenceResponse(sentence(status, text, more));
}

/** A host that none can have is part of the URL as it came. */
export function malformedUrl(): Response {
  return plainText(400, "The host or the path of the request is malformed.");
}
