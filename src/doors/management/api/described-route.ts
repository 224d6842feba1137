/** How the OpenAPI document describes one operation of a data path, and helpers for describing its content. */

export interface Described {
  readonly summary: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Request headers. The header with the token is left out. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: { readonly description: string; readonly content: Readonly<Record<string, unknown>> };
  readonly responses: Readonly<
    Record<string, readonly [description: string, content?: Readonly<Record<string, unknown>>]>
  >;
}

export const json = (schema: unknown) => ({ "application/json": { schema } });
export const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });

/** Of operations that read the past. */
export const AT = {
  at: "A moment: a versionstamp, a time, or how long ago, like -1h. The database is read as it was then.",
};
