/** What an S3 destination is made of, checked whole before it is stored, probed or used. */
import { failure, type Failure } from "../../core/errors.ts";
import { lineBreakIn } from "../../core/secret-text.ts";
import { type EndpointRules, parseBucketName, parseEndpoint, parseRegion } from "./destination-url.ts";
import { parsePrefix } from "./object-name.ts";

export interface S3SettingsInput {
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Comes with credentials that expire; null with others. */
  readonly sessionToken: string | null;
  readonly prefix: string;
}

declare const checked: unique symbol;

/** Only `parseS3Settings` makes these. */
export type S3Settings = S3SettingsInput & { readonly [checked]: true };

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
  // These go into the Authorization header, where "/" and "," have a meaning.
  if (!/^[\x21-\x2b\x2d\x2e\x30-\x7e]{1,256}$/.test(input.accessKeyId)) {
    return failure("invalid", "The access key id must have 1 to 256 characters, without spaces, slashes and commas.");
  }
  if (!/^[\x21-\x7e]{1,512}$/.test(input.secretAccessKey)) {
    return failure("invalid", "The secret access key must have 1 to 512 characters, without spaces.");
  }
  if (input.sessionToken !== null && !/^[\x21-\x7e]{1,4096}$/.test(input.sessionToken)) {
    return failure("invalid", "The session token must have 1 to 4,096 characters, without spaces.");
  }
  const settings = {
    ...input,
    endpoint: endpoint.endpoint,
    bucket: bucket.bucket,
    region: region.region,
    prefix: prefix.prefix,
  };
  return { ok: true, settings: settings as S3Settings };
}
