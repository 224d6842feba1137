/** Which databases a request may open, as its head tells. */
import type { HeaderLookup } from "../../doors/http/header-lookup.ts";

/** A request's head, as far as it tells that. `isAuthorized`: it has a token, valid or not. */
export interface NamingHead {
  readonly method: string;
  readonly path: string;
  readonly fields: HeaderLookup;
  readonly isAuthorized: boolean;
}

export interface Opens {
  /** Of databases and organizations. None: the request opens nothing. */
  readonly names: readonly string[];
  /** The request may open another database, which it does not name. */
  readonly opensAnother: boolean;
  readonly refused: Refused;
}

export function opensOf({ method, path, isAuthorized, fields }: NamingHead): Opens {
  const [address = "", query = ""] = path.split("?", 2);
  // A request without a token opens nothing, and neither does a question for the methods of an address.
  if (method === "OPTIONS" || (!isAuthorized && !query.includes("access_token="))) return NOTHING;
  const named = address === DOCUMENTS_PATH ? `/databases/${fields.get("envid") ?? ""}` : address;
  const names = NAMED.map((one) => one.exec(named)?.[0]).filter((name) => name !== undefined);
  const changes = method !== "GET" && method !== "HEAD";
  const isEntry = ENTRY_PATH.test(address);
  const asksDatabase = isEntry || DATA_PATH.test(address) || ARCHIVE_PATH.test(address);
  return {
    names,
    opensAnother: changes && !isEntry && MANAGEMENT_PATH.test(address),
    refused: asksDatabase ? refusesData : refusesOther,
  };
}

/** Its requests name their database in the header envid. */
const DOCUMENTS_PATH = "/cdb";

/**
 * A database that a path names counts as opened, whichever door the path belongs to. Names are cut off, because longer ones belong to no
 * database and would be kept for seconds.
 */
const NAMED = [/\/databases\/[^/:]{1,64}/, /\/organizations\/[^/:]{1,64}/] as const;

/** A change under these paths may open other databases than the one in the path. */
const MANAGEMENT_PATH = /^\/(?:api|v1)\//;

/** Among them, requests about the entries of a database open no other database. */
const ENTRY_PATH =
  /^\/api\/databases\/[^/]+\/(?:entries|records|tables|atomic|count|export|import|watch|feed|history|undelete|diff)(?:[/:%]|$)/;

/** Under these paths a 404 comes from the database's object, which opened its files to find that out. */
const DATA_PATH = /^(?:\/v2)?\/databases\/[^/]+\/(?:at\/[^/]+\/)?(?:connect|snapshot_read|atomic_write|watch)$/;

/** So is a 404 about an archive or its destination. */
const ARCHIVE_PATH = /^\/api\/databases\/[^/]+\/backup(?:s|Schedule|Destinations)(?:[/:%]|$)/;

/** Whether an answer with this status was given before any database was called. */
export type Refused = (status: number) => boolean;
const refusesData: Refused = (status) => [401, 403, 405, 415].includes(status);
/** A 404 is also the Worker's answer where there is no door. A stranger who asks there has a place only until the answer. */
const refusesOther: Refused = (status) => status >= 400 && status < 500;

const NOTHING: Opens = { names: [], opensAnother: false, refused: refusesOther };
