/** The head of a request over HTTP/2, and what makes it malformed (RFC 9113, sections 8.2 and 8.3). */
import { MAX_REQUEST_HEAD_BYTES } from "../../../core/limits.ts";
import { RequestFacts } from "../request-facts.ts";
import { ofTheConnection, type BodyKind, type HeaderPairs } from "../server-connection.ts";
import { bytesOf, type HeaderField } from "./hpack.ts";

/** Collects the fields of a header block. */
export class RequestHead {
  method = "";
  path = "";
  /** Names in lower case, each with its value. */
  readonly #pairs: string[] = [];
  #authority: string | undefined;
  #scheme: string | undefined;
  #length: number | undefined;
  #pseudo = 0;
  #hasRegular = false;
  #bytes = 0;
  #isBroken = false;
  #facts: RequestFacts | undefined;
  #awaitsContinue: boolean | undefined;

  /** As the size of a list of headers is counted (RFC 9113, section 6.5.2). */
  get bytes(): number {
    return this.#bytes;
  }

  /** Larger than it may be. Its fields are not complete then. */
  get isTooLarge(): boolean {
    return this.#bytes > MAX_REQUEST_HEAD_BYTES;
  }

  /** Whether the head is no request. To be asked when the block is complete. */
  get isMalformed(): boolean {
    if (this.#isBroken) return true;
    if (this.isTooLarge) return false;
    // CONNECT names the other end alone (section 8.5).
    if (this.method === "CONNECT") return this.#scheme !== undefined || this.path !== "";
    return this.method === "" || this.#scheme === undefined || !(this.path.startsWith("/") || this.path === "*");
  }

  /** To be asked when the block is complete, as all that follows. */
  get facts(): RequestFacts {
    const { method, path } = this;
    this.#facts ??= new RequestFacts({ method, path, fields: this, isAuthorized: this.get("authorization") !== null });
    return this.#facts;
  }

  /** Whether the client holds the body back until it is told to send it. */
  get awaitsContinue(): boolean {
    return (this.#awaitsContinue ??= this.get("expect")?.toLowerCase() === "100-continue");
  }

  /** The length that the request names for its body. */
  get length(): number | undefined {
    return this.#length;
  }

  add(field: HeaderField): void {
    this.#bytes += bytesOf(field);
    if (!field.isValid) this.#isBroken = true;
    if (this.#isBroken || this.isTooLarge) return;
    const { name, value } = field;
    if (name.startsWith(":")) return this.#addPseudo(name, value);
    this.#hasRegular = true;
    if (name === "content-length") this.#addLength(value);
    else if (FORBIDDEN.has(name) || (name === "te" && value !== "trailers")) this.#isBroken = true;
    else if (!ofTheConnection.has(name)) this.#pairs.push(name, value);
  }

  /** All values of a name. */
  get(name: string): string | null {
    if (name === "host") return this.#authority ?? this.#valuesOf(name);
    if (name === "content-length") return this.#length === undefined ? null : String(this.#length);
    return this.#valuesOf(name);
  }

  bodyKind(endsWithHead: boolean): BodyKind {
    return endsWithHead ? "none" : (this.#length ?? "chunked");
  }

  /** Without the headers of the connection, of the body's framing, and of its beginning. `:authority` becomes the host. */
  get headers(): HeaderPairs {
    const headers = ["host", this.get("host") ?? "localhost"];
    const cookies: string[] = [];
    for (let i = 0; i + 1 < this.#pairs.length; i += 2) {
      const [name = "", value = ""] = [this.#pairs[i], this.#pairs[i + 1]];
      // A client may send a cookie in pieces (section 8.2.3).
      if (name === "cookie") cookies.push(value);
      else if (name !== "host" && name !== "expect") headers.push(name, value);
    }
    if (cookies.length > 0) headers.push("cookie", cookies.join("; "));
    return headers;
  }

  #addPseudo(name: string, value: string): void {
    const bit = PSEUDO[name] ?? 0;
    // Each once, and before all others.
    if (bit === 0 || (this.#pseudo & bit) !== 0 || this.#hasRegular) {
      this.#isBroken = true;
      return;
    }
    this.#pseudo |= bit;
    if (name === ":method") this.method = value;
    else if (name === ":path") this.path = value;
    else if (name === ":scheme") this.#scheme = value;
    else this.#authority = value;
  }

  #addLength(value: string): void {
    const length = /^\d{1,15}$/.test(value) ? Number(value) : undefined;
    if (length === undefined || (this.#length ?? length) !== length) this.#isBroken = true;
    this.#length = length;
  }

  #valuesOf(name: string): string | null {
    let values: string | null = null;
    for (let i = 0; i + 1 < this.#pairs.length; i += 2) {
      if (this.#pairs[i] === name)
        values = values === null ? (this.#pairs[i + 1] ?? "") : `${values}, ${this.#pairs[i + 1] ?? ""}`;
    }
    return values;
  }
}

/** Section 8.2.2. */
const FORBIDDEN: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

const PSEUDO: Readonly<Record<string, number>> = { ":method": 1, ":path": 2, ":scheme": 4, ":authority": 8 };
