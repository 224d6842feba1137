/** The headers of a request, as far as rules need them: `Headers`, or the headers of a request at the local front. */
export interface HeaderLookup {
  /** `name` in lower case. Values of several headers of one name are joined by ", "; null: there is none. */
  get(name: string): string | null;
}
