/**
 * Tells the Worker why workerd could not connect. JavaScript gets only a reference for such an error ("internal error; reference = …").
 * workerd writes the reason to stderr, with the same reference. Those lines are read here, and served to workerd by their reference. For
 * a line of another form the Worker only says that the host could not be reached.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { UnreachableReason } from "../core/unreachable.ts";

/** References that are kept: a Worker asks for a reference at once or never. */
const MOST_KEPT = 1_000;

/** The line of an error may come a moment after the Worker has asked for it. */
const TRIES = 20;
const TRY_EVERY_MS = 25;

const reasons: readonly (readonly [RegExp, UnreachableReason])[] = [
  [
    /invalid peer certificate: (Expired|NotValidYet|certificate (has )?expired|certificate not valid (yet|after))/i,
    "out-of-date",
  ],
  [/invalid peer certificate: (certificate not valid for name|NotValidForName)/i, "other-name"],
  [/invalid peer certificate/i, "untrusted"],
  [/InvalidContentType|corrupt message/i, "no-tls"],
  [/fatal alert: (HandshakeFailure|ProtocolVersion)|PeerIncompatible|peer is incompatible/i, "no-common-tls"],
  [/failed to lookup address|DNS lookup failed|connecting to .* is not allowed/i, "no-address"],
];

export class ErrorReasons {
  /** Where the reasons are served on this machine, in the form of workerd's command line. */
  readonly address: string;
  readonly close: () => void;
  readonly #known: Map<string, UnreachableReason>;
  #last: UnreachableReason | undefined;

  private constructor(address: string, known: Map<string, UnreachableReason>, close: () => void) {
    this.address = address;
    this.#known = known;
    this.close = close;
  }

  static async serve(): Promise<ErrorReasons> {
    const known = new Map<string, UnreachableReason>();
    const server = createServer((request, response) => {
      void find(known, (request.url ?? "").slice(1)).then((reason) => {
        response.statusCode = reason === undefined ? 404 : 200;
        response.end(reason);
      });
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", resolve);
    });
    server.unref();
    // A server that listens on TCP has such an address.
    const { port } = server.address() as AddressInfo;
    return new ErrorReasons(`127.0.0.1:${port}`, known, () => {
      server.close();
      server.closeAllConnections();
    });
  }

  /** Reads a line that workerd wrote to stderr. */
  note(line: string): void {
    const [, error] = /\berror: e = (.*)$/.exec(line) ?? [];
    if (error !== undefined) this.#last = reasons.find(([form]) => form.test(error))?.[1];
    const [, reference] = /\bwdErrId = ([a-z0-9]{16,40})\b/.exec(line) ?? [];
    if (reference === undefined || this.#last === undefined) return;
    this.#known.set(reference, this.#last);
    this.#last = undefined;
    const [oldest] = this.#known.keys();
    if (this.#known.size > MOST_KEPT && oldest !== undefined) this.#known.delete(oldest);
  }
}

async function find(
  known: ReadonlyMap<string, UnreachableReason>,
  reference: string,
): Promise<UnreachableReason | undefined> {
  for (let i = 0; i < TRIES && !known.has(reference); i++) await sleep(TRY_EVERY_MS);
  return known.get(reference);
}
