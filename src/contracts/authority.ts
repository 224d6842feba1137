/**
 * Who may do what, as the doors see it. An access token lives long, and its owner keeps it. A data token is what the exchange returns: it
 * lives for about an hour, is for one database, and is verified without a call.
 */
import type { UnixMs } from "../core/clock.ts";
import type { Failure } from "../core/errors.ts";
import type { Grant } from "./grant.ts";
import type { TokenCaller } from "./management.ts";

export interface DataToken {
  readonly token: string;
  /** When the client should exchange again. The token itself lives a little longer. */
  readonly expiresAt: UnixMs;
  /** 20 hex digits: the token opens the database as of this commit. Undefined: it opens the database as it is. */
  readonly at?: string;
}

export interface Authority {
  /**
   * The caller who presents this access token. `unauthenticated` for a token that nobody minted; finding that out needs no call.
   * `origin`: of the page of another origin that sends the request; null: there is none.
   */
  caller(accessToken: string, origin: string | null): Promise<TokenCaller | Failure>;
  /**
   * What the caller's access token allows at a database, as a data token would carry it, and for no longer. For a door that takes access
   * tokens directly. A revocation ends it as it ends data tokens.
   */
  grant(caller: TokenCaller, databaseId: string): Promise<Grant | Failure>;
  /**
   * Mints a data token for a database, which allows no more than the caller's access token. With a moment (a versionstamp or an RFC 3339
   * time), the token opens only the database as of the last commit up to that moment. A token that a page of another origin asked for is
   * for pages of that origin.
   */
  exchange(caller: TokenCaller, databaseId: string, moment: string | undefined): Promise<DataToken | Failure>;
  /**
   * Verifies a data token for a database, or for a database as of a commit (20 hex digits). The answer is no promise for a token that was
   * verified before.
   */
  verify(dataToken: string, databaseId: string, at?: string): Grant | Failure | Promise<Grant | Failure>;
}
