/** Answers that consist of one sentence. */

/** An answer that is not a `Response` yet: the local front uses none. */
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

/** The URL, as it came, has a host that no server can have. */
export function malformedUrl(): Response {
  return plainText(400, "The host or the path of the request is malformed.");
}
