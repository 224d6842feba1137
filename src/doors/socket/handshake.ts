/** What a client says when it asks for a socket: the version that it speaks, and its token, if it has one yet. */
import { fromBase64Url } from "../../codec/base64url.ts";
import { socketProtocol } from "../../contracts/socket.ts";
import { failure, type Failure } from "../../core/errors.ts";
import { bearerTokenIfAny } from "../http/bearer-token.ts";
import { tokenInUrl, TWO_TOKENS } from "../http/gate.ts";

export interface Handshake {
  /**
   * The subprotocol of the answer. null: the client has named none. A browser treats an answer without any of the named subprotocols as a
   * failure, and shows no reason. So a client that is refused for its subprotocols gets one of them in the answer.
   */
  readonly protocol: string | null;
  /** Undefined: the token comes with the first message. */
  readonly token: string | Failure | undefined;
}

export const NOT_OUR_PROTOCOL = failure(
  "invalid",
  `Name the subprotocol ${socketProtocol.name}, as in new WebSocket(url, ["${socketProtocol.name}"]).`,
);

export function handshakeOf({ headers, url }: Pick<Request, "headers" | "url">): Handshake {
  const named = (headers.get("sec-websocket-protocol") ?? "").split(",").map((name) => name.trim());
  const protocols = named.filter((name) => name !== "" && !name.startsWith(socketProtocol.tokenPrefix));
  const protocol = protocols.includes(socketProtocol.name) ? socketProtocol.name : (protocols[0] ?? null);
  const inHeaders = tokenOf(named) ?? bearerTokenIfAny(headers);
  const inUrl = tokenInUrl(new URL(url).searchParams);
  if (inUrl === null) return { protocol, token: inHeaders };
  return { protocol, token: inHeaders === undefined ? inUrl : TWO_TOKENS };
}

/** The token in the subprotocols, for pages, which cannot set headers. */
function tokenOf(protocols: readonly string[]): string | Failure | undefined {
  const [carrier, ...more] = protocols.filter((name) => name.startsWith(socketProtocol.tokenPrefix));
  if (carrier === undefined) return undefined;
  const bytes = more.length > 0 ? undefined : fromBase64Url(carrier.slice(socketProtocol.tokenPrefix.length));
  const token = bytes === undefined ? undefined : new TextDecoder().decode(bytes);
  if (token !== undefined && /^[!-~]+$/.test(token)) return token;
  return failure(
    "unauthenticated",
    `One subprotocol must be ${socketProtocol.tokenPrefix} and the token as base64url without padding.`,
  );
}
