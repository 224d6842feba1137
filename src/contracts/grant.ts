/** What a verified token allows at one database, and the one rule of what that comes to: whoever carries a request out asks it here. */
import type { UnixMs } from "../core/clock.ts";
import type { Jurisdiction } from "./placement.ts";

/** What a request may do at one database. Plain data: it crosses to the database's object with every call. */
export interface Grant {
  /** The token that it came from, named by what revokes it. */
  readonly tokenId: string;
  readonly read: boolean;
  readonly write: boolean;
  /** Everything open under this grant ends then. */
  readonly expiresAt: UnixMs;
  /** An encoded key in hexadecimal: only that key and those that begin with all of its parts (`key-prefix.ts`). */
  readonly keyPrefix?: string;
  /** 20 hex digits: the database as of this commit, which can only be read. Undefined: the database as it is. */
  readonly at?: string;
  /** The origin of the web page that it was exchanged by: pages of other origins may not use it. Undefined: no page may. */
  readonly origin?: string;
  /** Where the database's object is found: its name alone does not say, and nobody is asked. */
  readonly jurisdiction?: Jurisdiction;
}
