/** One request for archives, and what an operation says of itself. */
import type { JsonObject } from "../../codec/json-notation/types.ts";
import type { CommandName, DatabasePlace, Input, Output } from "../../contracts/management.ts";
import type { Failure } from "../../core/errors.ts";
import type { DirectoryParts } from "../http/directory.ts";
import type { BodyTime } from "../http/request-body.ts";
import type { FailureOfThrown } from "../http/thrown.ts";

export interface BackupsDoorParts extends DirectoryParts, BodyTime {
  readonly failureOfThrown: FailureOfThrown;
  /** The database's object, for the bytes of archives: see `archiveProtocol` in `contracts/archive-files.ts`. */
  readonly files: (databaseId: string, place: DatabasePlace) => (request: Request) => Promise<Response>;
}

export interface ArchiveCall {
  readonly parts: BackupsDoorParts;
  readonly request: Request;
  readonly databaseId: string;
  /** Of the archive or the destination. Empty for an operation that takes none. */
  readonly id: string;
  readonly query: URLSearchParams;
  /** Empty for an operation that takes no values. */
  readonly values: JsonObject;
  readonly ask: <Name extends CommandName>(name: Name, input: Input<Name>) => Promise<Output<Name> | Failure>;
}

/** What an operation answers: JSON, or a response of its own. */
export interface Found {
  readonly status: 200 | 201 | 202 | 204;
  readonly data: unknown;
  /** Of a list. */
  readonly meta?: Readonly<Record<string, number>>;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface ArchiveOperation {
  /** Whether it is about one archive or one destination. */
  readonly takesId?: true;
  /** Whether it takes values, as a JSON body. */
  readonly takesValues?: true;
  /** Its query parameters besides `filterByTk`. */
  readonly query?: readonly string[];
  readonly answer: (call: ArchiveCall) => Promise<Found | Response | Failure>;
}
