/** What the resources of the doors onto one database get, and what each says of itself. */
import type { DatabaseStub } from "../../contracts/database.ts";
import type { Access, Grant } from "../../contracts/grant.ts";
import type { Failure } from "../../core/errors.ts";
import type { PastState } from "./past.ts";
import type { Ration } from "./ration.ts";
import type { FailureOfThrown } from "./thrown.ts";
import type { BodyTime } from "./request-body.ts";

/** One request, whose token allows what the operation needs. */
export interface RestCall extends BodyTime {
  readonly request: Request;
  readonly failureOfThrown: FailureOfThrown;
  readonly databaseId: string;
  readonly grant: Grant;
  /** The database's object; the object of a past state where the request asks for one. */
  readonly stub: DatabaseStub;
  /** What the request may take of the memory that all requests share. */
  readonly ration: Ration;
  /** Gives the database as of a moment, ready to be read. */
  readonly openPast: (moment: string) => Promise<PastState | Failure>;
  /** What follows the resource's name in the path (a key, or the id of a job), still percent-encoded. undefined: nothing. */
  readonly keyPath: string | undefined;
  /** It has only parameters that the operation takes, each once, except those in `repeated`. */
  readonly query: URLSearchParams;
}

export interface Operation {
  /** "read or write": one of both is enough to be asked; the object looks what the request needs. */
  readonly access: Access | "read or write";
  /** The names of its query parameters. */
  readonly query: readonly string[];
  /** The parameters that may be given several times. */
  readonly repeated?: readonly string[];
  /** Whether the operation takes `?at=` and then reads the database as of that moment. */
  readonly past?: true;
  readonly answer: (call: RestCall) => Promise<Response | Failure>;
}

export type Method = "GET" | "HEAD" | "PUT" | "POST" | "DELETE";

/** The operations of a path, by method. */
export type Resource = Readonly<Partial<Record<Method, Operation>>>;
