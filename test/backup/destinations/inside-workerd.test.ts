/** Both drivers where they really run: in workerd, over its binding and its own fetch. */
import { expect, inject, test } from "vitest";
import { R2Destination } from "../../../src/backup/destinations/r2.ts";
import { openS3At } from "../../support/open-s3.ts";
import { realTiming } from "../../support/timing.ts";
import { testBucket } from "../../support/workerd/test-bucket.ts";
import { describeDestination } from "./contract.ts";

describeDestination("the R2 binding", () => new R2Destination(testBucket(), "", realTiming));
describeDestination("the R2 binding, below a prefix", () => new R2Destination(testBucket(), "some where/", realTiming));

describeDestination("S3 over workerd's fetch", () => openS3At(inject("s3"), { prefix: "below/" }));

test("the R2 binding deletes what a listing names, whoever put it there", async () => {
  const bucket = testBucket();
  const destination = new R2Destination(bucket, "theirs/", realTiming);
  for (const name of ["x/my notes (1)é.txt", "x/../y"]) {
    await bucket.put(`theirs/${name}`, "hello");
    expect(await destination.delete(name)).toEqual({ ok: true });
  }
  expect((await bucket.list({ prefix: "theirs/" })).objects).toEqual([]);
});
