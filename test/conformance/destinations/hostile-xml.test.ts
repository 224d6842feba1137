/** No answer of 4 MiB holds the thread that all tenants share. `npm run bench:hostile` has the numbers. */
import { expect, test } from "vitest";
import { parseError, parseListAnswer, parseUploadId } from "../../../src/backup/destinations/s3-xml.ts";
import { MAX_DESTINATION_LIST_ANSWER_BYTES } from "../../../src/core/limits.ts";
import { hostileXml, longestPage } from "../../support/hostile-xml.ts";

/** Ten times what the bench promises, of the CPU's time: a parser that is not linear needs tens of seconds. */
const LIMIT_MS = 1_000;

test.each(Object.entries({ ...hostileXml, "the longest page": longestPage }))("%s", (_, xml) => {
  const bytes = new TextEncoder().encode(xml);
  expect(bytes.length).toBeLessThanOrEqual(MAX_DESTINATION_LIST_ANSWER_BYTES);
  const began = process.threadCpuUsage();
  parseListAnswer(bytes, 1000);
  parseError(bytes);
  parseUploadId(bytes);
  const { user, system } = process.threadCpuUsage(began);
  expect((user + system) / 1000).toBeLessThan(LIMIT_MS);
});

test("the longest page that S3 can send is within every limit", () => {
  expect(parseListAnswer(new TextEncoder().encode(longestPage), 1000)?.objects).toHaveLength(1000);
});
