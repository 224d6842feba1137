/** One operation of a data path, as the OpenAPI document describes it, and the words for its content. */

export interface Described {
  readonly summary: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Request headers, besides the token. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: { readonly description: string; readonly content: Readonly<Record<string, unknown>> };
  readonly responses: Readonly<
    Record<string, readonly [description: string, content?: Readonly<Record<string, unknown>>]>
  >;
}

export const json = (schema: unknown) => ({ "application/json": { schema } });
export const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
