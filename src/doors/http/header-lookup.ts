/** The headers of a request as rules ask for them: `Headers`, or what the local front has of a request. */
export interface HeaderLookup {
  /** `name` in lower case. Values of several headers of one name are joined by ", "; null: there is none. */
  get(name: string): string | null;
}
