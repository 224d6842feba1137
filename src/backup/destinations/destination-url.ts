/**
 * Checks what a user enters for an S3 destination, before it is stored or used. A strict deployment accepts only https and public hosts.
 * Another one also accepts http and private addresses (a MinIO on the same network). Both refuse link-local addresses, where clouds keep
 * their machines' credentials. The checks see names and literal addresses. Which addresses a public name resolves to is checked by the
 * network that requests go out through.
 */
import type { S3Addressing } from "../../contracts/backup-destinations.ts";
import { failure, type Failure } from "../../core/errors.ts";
import { placeOfHost } from "../../core/host-place.ts";
import { MAX_DESTINATION_URL_CHARACTERS } from "../../core/limits.ts";

export interface EndpointRules {
  /** Accepts only https and public hosts. */
  readonly strict: boolean;
}

/** The endpoint in its canonical form, without a slash at its end. It may have a path, below which the buckets are. */
export function parseEndpoint(
  text: string,
  rules: EndpointRules,
): { readonly ok: true; readonly endpoint: string } | Failure {
  if (text.length > MAX_DESTINATION_URL_CHARACTERS) {
    return failure("limit", `The endpoint is longer than ${MAX_DESTINATION_URL_CHARACTERS} characters.`);
  }
  // The URL parser silently drops or rewrites these characters, so the checked URL would not be the entered one.
  if (!/^https?:\/\/[^/]/i.test(text) || !/^[\x21-\x7e]+$/.test(text) || text.includes("\\") || !URL.canParse(text)) {
    return failure("invalid", "The endpoint must be a URL such as https://s3.eu-central-1.amazonaws.com.");
  }
  if (text.includes("@")) return failure("invalid", "The endpoint must not carry a user name or password.");
  if (/[?#]/.test(text)) return failure("invalid", "The endpoint must not carry a query or a fragment.");
  const url = new URL(text);
  if (!/^(\/[A-Za-z0-9_~.-]+)*\/?$/.test(url.pathname)) {
    return failure("invalid", "The endpoint's path may have letters, digits and _ ~ . - between single slashes only.");
  }
  if (rules.strict && url.protocol !== "https:") return failure("invalid", "The endpoint must begin with https://.");
  const refused = hostRefusal(url.hostname, rules);
  if (refused !== null) return refused;
  return { ok: true, endpoint: `${url.origin}${url.pathname.replace(/\/$/, "")}` };
}

function hostRefusal(hostname: string, rules: EndpointRules): Failure | null {
  const place = placeOfHost(hostname);
  if (place === "link-local")
    return failure("invalid", "The endpoint's host is reserved for a machine's own metadata.");
  if (!rules.strict || place === "public") return null;
  return failure(
    "invalid",
    "The endpoint's host must be public: not localhost, and not a private or reserved address.",
  );
}

/** 3 to 63 characters, as S3 providers accept them. Google also accepts underscores. */
export function parseBucketName(text: string): { readonly ok: true; readonly bucket: string } | Failure {
  const sound = /^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$/.test(text) && !text.includes("..") && !/^[\d.]+$/.test(text);
  if (sound) return { ok: true, bucket: text };
  return failure(
    "invalid",
    "A bucket's name has 3 to 63 characters: lower-case letters, digits, dots, hyphens and underscores.",
  );
}

/** The URL that all of the bucket's URLs begin with, without a slash at its end. Both arguments must have been parsed before. */
export function bucketAddress(
  endpoint: string,
  bucket: string,
  addressing: S3Addressing,
  rules: EndpointRules,
): { readonly ok: true; readonly address: string } | Failure {
  if (addressing === "path") return { ok: true, address: `${endpoint}/${bucket}` };
  const { protocol, host, hostname, pathname } = new URL(endpoint);
  if (hostname.startsWith("[") || /^[\d.]+$/.test(hostname)) {
    return failure("invalid", 'With addressing "virtual-host" the endpoint must have a name, not an address.');
  }
  if (bucket.includes("_")) {
    return failure("invalid", 'With addressing "virtual-host" the bucket\'s name must not have underscores.');
  }
  if (bucket.includes(".") && protocol === "https:") {
    return failure(
      "invalid",
      'With addressing "virtual-host" the bucket\'s name must not have dots: no certificate of the store covers them.',
    );
  }
  // Bucket and endpoint together may be a host name that is refused, although the endpoint alone is not.
  const refused = hostRefusal(`${bucket}.${hostname}`, rules);
  if (refused !== null) return refused;
  return { ok: true, address: `${protocol}//${bucket}.${host}${pathname.replace(/\/$/, "")}` };
}

export function parseRegion(text: string): { readonly ok: true; readonly region: string } | Failure {
  if (isRegionName(text)) return { ok: true, region: text };
  return failure("invalid", 'A region is a name such as "eu-central-1", or "auto" for R2.');
}

export function isRegionName(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9-]{0,63}$/.test(text);
}
