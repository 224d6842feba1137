/**
 * How clients reach a deployment, where the deployment cannot see that itself: behind a proxy that ends TLS or serves it under another
 * name.
 */
import { failure, type Failure } from "./errors.ts";

export interface PublicAddress {
  /** Scheme, host and perhaps a port, as the operator has set them. null: as each request says. */
  readonly url: string | null;
  /** Whether a proxy sets the headers X-Forwarded-Proto and X-Forwarded-Host, so that clients cannot. */
  readonly trustsProxy: boolean;
}

/** The variables of an environment. One that is not set is missing, null or empty. */
export interface PublicAddressTexts {
  /** The form is that of `publicUrlOf`. */
  readonly CAIRN_PUBLIC_URL?: string | null | undefined;
  /** "true": a proxy sets X-Forwarded-Proto and X-Forwarded-Host. */
  readonly CAIRN_TRUST_PROXY?: string | null | undefined;
}

export function publicAddressFrom({
  CAIRN_PUBLIC_URL,
  CAIRN_TRUST_PROXY,
}: PublicAddressTexts): PublicAddress | Failure {
  const url = CAIRN_PUBLIC_URL ? publicUrlOf(CAIRN_PUBLIC_URL) : null;
  if (url !== null && typeof url !== "string") return failure(url.code, `CAIRN_PUBLIC_URL ${url.message}`);
  if (CAIRN_TRUST_PROXY && CAIRN_TRUST_PROXY !== "true") {
    return failure("invalid", 'CAIRN_TRUST_PROXY must be "true", or not set.');
  }
  return { url, trustsProxy: Boolean(CAIRN_TRUST_PROXY) };
}

/** The URL without a slash at its end. When it is `invalid`, the message continues a sentence that begins with the variable's name. */
export function publicUrlOf(text: string): string | Failure {
  const parsed = /^https?:\/\//i.test(text) && URL.canParse(text) ? new URL(text) : undefined;
  if (parsed === undefined || `${parsed.origin}/` !== parsed.href) {
    return failure(
      "invalid",
      "must be the URL under which clients reach the server, without a path, as https://kv.example.com.",
    );
  }
  return parsed.origin;
}
