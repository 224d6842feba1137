/** The driver for an S3 server of the tests. */
import type { S3Addressing } from "../../src/contracts/backup-destinations.ts";
import type { RetryPolicy, Timing } from "../../src/backup/destinations/retry.ts";
import { S3Destination } from "../../src/backup/destinations/s3.ts";
import { parseS3Settings } from "../../src/backup/destinations/s3-settings.ts";
import type { S3Place } from "./s3-place.ts";
import { realTiming } from "./timing.ts";

export interface OpenOptions {
  readonly prefix?: string;
  readonly timing?: Timing;
  readonly policy?: RetryPolicy;
  readonly addressing?: S3Addressing;
  /** Between the driver and the server. */
  readonly fetch?: typeof fetch;
}

export function openS3At(
  place: S3Place,
  { prefix = "", timing = realTiming, policy, addressing = "path", fetch: send = fetch }: OpenOptions = {},
): S3Destination {
  const parsed = parseS3Settings({ ...place, sessionToken: null, prefix, addressing }, { strict: false });
  if (!parsed.ok) throw new Error(parsed.message);
  return new S3Destination(parsed.settings, (url, init) => send(url, init), timing, policy);
}
