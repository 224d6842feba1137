/**
 * The S3 driver over HTTP, from Node: against wrangler's local endpoint or, when CAIRN_TEST_S3_ENDPOINT is set (`npm run test:s3`),
 * against the server that it names, with CAIRN_TEST_S3_BUCKET, CAIRN_TEST_S3_REGION, CAIRN_TEST_S3_ACCESS_KEY_ID and
 * CAIRN_TEST_S3_SECRET_ACCESS_KEY. Everything is written below one prefix and deleted at the end.
 */
import { afterAll, beforeAll } from "vitest";
import { openS3At } from "../../support/open-s3.ts";
import { s3FromEnvironment, type S3Server, startS3Server } from "../../support/s3-server.ts";
import { describeDestination } from "../../backup/destinations/contract.ts";

let server: S3Server;
beforeAll(async () => {
  server = s3FromEnvironment() ?? (await startS3Server());
});
afterAll(() => server.close());

for (const prefix of ["", "some where/a+b=(c)!*$,:@/"]) {
  describeDestination(`S3 over HTTP, prefix "${prefix}"`, () => openS3At(server, { prefix }));
}
