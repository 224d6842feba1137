/**
 * What the head of a request says to the front's rules. Requests with the same head may share one such object, so it holds only what
 * depends on nothing else: neither on time nor on other requests.
 */
import type { HeaderLookup } from "../../doors/http/header-lookup.ts";
import { type NamingHead, type Opens, opensOf } from "./opened-names.ts";
import { type SmallHead, smallHeadOf } from "./small-head.ts";

export class RequestFacts implements NamingHead {
  readonly method: string;
  readonly path: string;
  readonly fields: HeaderLookup;
  readonly isAuthorized: boolean;
  #opens: Opens | undefined;
  #small: SmallHead | "none" | undefined;

  constructor({ method, path, fields, isAuthorized }: NamingHead) {
    this.method = method;
    this.path = path;
    this.fields = fields;
    this.isAuthorized = isAuthorized;
  }

  /** Which databases it may open. */
  get opens(): Opens {
    return (this.#opens ??= opensOf(this));
  }

  /** undefined: the request must be sent to the Worker. */
  get small(): SmallHead | undefined {
    this.#small ??= smallHeadOf(this.method, this.path, this.fields) ?? "none";
    return this.#small === "none" ? undefined : this.#small;
  }
}
