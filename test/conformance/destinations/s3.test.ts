/**
 * The S3 driver over HTTP, from Node: against wrangler's local endpoint or, when CAIRN_TEST_S3_ENDPOINT is set (`npm run test:s3`),
 * against the server that it names, with CAIRN_TEST_S3_BUCKET, CAIRN_TEST_S3_REGION, CAIRN_TEST_S3_ACCESS_KEY_ID and
 * CAIRN_TEST_S3_SECRET_ACCESS_KEY. Everything is written below one prefix and deleted at the end.
 */
import { afterAll, beforeAll } from "vitest";
import { S3Destination } from "../../../src/backup/destinations/s3.ts";
import { parseS3Settings } from "../../../src/backup/destinations/s3-settings.ts";
import { s3FromEnvironment, type S3Server, startS3Server } from "../../support/s3-server.ts";
import { realTiming } from "../../support/timing.ts";
import { describeDestination } from "../../backup/destinations/contract.ts";

let server: S3Server;
beforeAll(async () => {
  server = s3FromEnvironment() ?? (await startS3Server());
});
afterAll(() => server.close());

for (const prefix of ["", "some where/a+b=(c)!*$,:@/"]) {
  describeDestination(`S3 over HTTP, prefix "${prefix}"`, () => {
    const parsed = parseS3Settings({ ...server, sessionToken: null, prefix }, { strict: false });
    if (!parsed.ok) throw new Error(parsed.message);
    return new S3Destination(parsed.settings, fetch, realTiming);
  });
}
