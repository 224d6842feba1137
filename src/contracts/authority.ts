/**
 * Who may do what, as the doors see it. An access token is long-lived and its owner keeps it; a data token is what the exchange
 * returns: short-lived, for one database, and verified without asking anybody.
 */
import type { UnixMs } from "../core/clock.ts";
import type { Failure } from "../core/errors.ts";
import type { Grant } from "./grant.ts";
import type { TokenCaller } from "./management.ts";

export interface DataToken {
  readonly token: string;
  /** When a client should exchange again; the token itself lives a little longer. */
  readonly expiresAt: UnixMs;
  /** 20 hex digits: the commit as of which it opens the database. Undefined: the database as it is. */
  readonly at?: string;
}

export interface Authority {
  /**
   * Who presents this access token; `unauthenticated` for one that nobody minted, which is found out without asking anybody. `origin`: of
   * the foreign page that asks, if one does.
   */
  caller(accessToken: string, origin: string | null): Promise<TokenCaller | Failure>;
  /**
   * What the caller's access token allows at a database, as a data token would carry it, and for no longer: for a door that takes access
   * tokens as they are. A revocation reaches it as it reaches data tokens.
   */
  grant(caller: TokenCaller, databaseId: string): Promise<Grant | Failure>;
  /**
   * Mints a data token for a database that can do no more than the caller's access token. With a moment, a versionstamp or a time by RFC
   * 3339, it opens the database as of the last commit up to then, and nothing else. One that a foreign page has asked for is that page's.
   */
  exchange(caller: TokenCaller, databaseId: string, moment: string | undefined): Promise<DataToken | Failure>;
  /**
   * Verifies a data token for a database, or for a database as of a commit (20 hex digits). Answers at once (not a promise) for one
   * that it has verified before.
   */
  verify(dataToken: string, databaseId: string, at?: string): Grant | Failure | Promise<Grant | Failure>;
}
