/** The settings of an S3 destination, all checked before they are stored, tried or used. */
import type { S3Addressing } from "../../contracts/backup-destinations.ts";
import { failure, type Failure } from "../../core/errors.ts";
import { MAX_SESSION_TOKEN_CHARACTERS } from "../../core/limits.ts";
import { lineBreakIn } from "../../contracts/secret-text.ts";
import { bucketAddress, type EndpointRules, parseBucketName, parseEndpoint, parseRegion } from "./destination-url.ts";
import { parsePrefix } from "./object-name.ts";

export interface S3SettingsInput {
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Present with credentials that expire, null with others. */
  readonly sessionToken: string | null;
  readonly prefix: string;
  readonly addressing: S3Addressing;
}

declare const checked: unique symbol;

/** Made only by `parseS3Settings`. */
export type S3Settings = S3SettingsInput & {
  /** The URL that all of the bucket's URLs begin with, without a slash at its end. */
  readonly address: string;
  readonly [checked]: true;
};

export function parseS3Settings(
  input: S3SettingsInput,
  rules: EndpointRules,
): { readonly ok: true; readonly settings: S3Settings } | Failure {
  const endpoint = parseEndpoint(input.endpoint, rules);
  if (!endpoint.ok) return endpoint;
  const bucket = parseBucketName(input.bucket);
  if (!bucket.ok) return bucket;
  const region = parseRegion(input.region);
  if (!region.ok) return region;
  const prefix = parsePrefix(input.prefix);
  if (!prefix.ok) return prefix;
  const { accessKeyId, secretAccessKey, sessionToken } = input;
  for (const [what, value] of Object.entries({ accessKeyId, secretAccessKey, sessionToken })) {
    const lineBreak = lineBreakIn(value ?? "");
    if (lineBreak !== undefined) return failure("invalid", `${what} ${lineBreak}`);
  }
  // The key goes into the Authorization header, where "/" and "," have a meaning.
  if (!/^[\x21-\x2b\x2d\x2e\x30-\x7e]{1,256}$/.test(input.accessKeyId)) {
    return failure("invalid", "The access key id must have 1 to 256 characters, without spaces, slashes and commas.");
  }
  if (!/^[\x21-\x7e]{1,512}$/.test(input.secretAccessKey)) {
    return failure("invalid", "The secret access key must have 1 to 512 characters, without spaces.");
  }
  if (sessionToken !== null && !/^[\x21-\x7e]+$/.test(sessionToken)) {
    return failure("invalid", "The session token must have at least one character, and no spaces.");
  }
  if (sessionToken !== null && sessionToken.length > MAX_SESSION_TOKEN_CHARACTERS) {
    return failure(
      "limit",
      `The session token has ${sessionToken.length} characters; the limit is ${MAX_SESSION_TOKEN_CHARACTERS}.`,
    );
  }
  const address = bucketAddress(endpoint.endpoint, bucket.bucket, input.addressing, rules);
  if (!address.ok) return address;
  const settings = {
    ...input,
    endpoint: endpoint.endpoint,
    bucket: bucket.bucket,
    address: address.address,
    region: region.region,
    prefix: prefix.prefix,
  };
  return { ok: true, settings: settings as S3Settings };
}
