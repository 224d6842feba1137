/** Bodies that are text, and bodies that are not in the form that they claim. */
import { failure, type Failure } from "../../core/errors.ts";
import type { HeaderLookup } from "./header-lookup.ts";

/** Making one costs more than a small body. */
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

/** The body as UTF-8, without a byte order mark. `invalid` when it is compressed or no UTF-8. */
export function textOf(request: Request, body: Uint8Array): string | Failure {
  try {
    return decoder.decode(body);
  } catch {
    return compressionIn(request.headers, body) ?? failure("invalid", "The body is not text in UTF-8.");
  }
}

/** The failure for a body that is compressed, by its header or by its first bytes. undefined: it is not. */
export function compressionIn(headers: HeaderLookup, body: Uint8Array): Failure | undefined {
  const encoding = headers.get("content-encoding")?.trim().toLowerCase();
  const named = encoding === undefined || encoding === "identity" ? nameByFirstBytes(body) : encoding.slice(0, 50);
  if (named === undefined) return undefined;
  return failure("invalid", `The body is compressed with ${named}, which is not taken here: send it as it is.`);
}

function nameByFirstBytes([first, second, third, fourth]: Uint8Array): string | undefined {
  if (first === 0x1f && second === 0x8b) return "gzip";
  if (first === 0x28 && second === 0xb5 && third === 0x2f && fourth === 0xfd) return "zstd";
  return undefined;
}
