/** How clients reach a deployment, where it cannot see that itself: behind a proxy that ends TLS or serves it under another name. */
import { failure, type Failure } from "./errors.ts";

export interface PublicAddress {
  /** Scheme, host and perhaps a port, as its operator says; null: as requests say. */
  readonly url: string | null;
  /** Whether the headers X-Forwarded-Proto and X-Forwarded-Host are a proxy's word and not anybody's. */
  readonly trustsProxy: boolean;
}

/** As an environment says it; what is not set is missing, null or empty. */
export interface PublicAddressTexts {
  /** As `publicUrlOf` takes it. */
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

/** What to put behind the name of what says it, when it is `invalid`; else without a slash at the end. */
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
