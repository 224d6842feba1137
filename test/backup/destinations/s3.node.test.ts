/** The S3 driver over HTTP, in Node, against the local endpoint of wrangler. */
import { afterAll, beforeAll } from "vitest";
import { S3Destination } from "../../../src/backup/destinations/s3.ts";
import { parseS3Settings } from "../../../src/backup/destinations/s3-settings.ts";
import { type S3Server, startS3Server } from "../../support/s3-server.ts";
import { realTiming } from "../../support/timing.ts";
import { describeDestination } from "./contract.ts";

let server: S3Server;
beforeAll(async () => {
  server = await startS3Server();
});
afterAll(() => server.close());

for (const prefix of ["", "some where/a+b=(c)!*$,:@/"]) {
  describeDestination(`S3 over HTTP, prefix "${prefix}"`, () => {
    const parsed = parseS3Settings({ ...server, sessionToken: null, prefix }, { strict: false });
    if (!parsed.ok) throw new Error(parsed.message);
    return new S3Destination(parsed.settings, fetch, realTiming);
  });
}
