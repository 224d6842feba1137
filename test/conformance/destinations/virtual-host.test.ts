/** The S3 driver against a store that knows buckets by the host's name only. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeDestination, failed } from "../../backup/destinations/contract.ts";
import { openS3At } from "../../support/open-s3.ts";
import { type S3Server, startS3Server } from "../../support/s3-server.ts";
import { type RenamedStore, startVirtualHostStore } from "../../support/renamed-store.ts";

let server: S3Server;
let store: RenamedStore;
beforeAll(async () => {
  server = await startS3Server();
  store = await startVirtualHostStore(server);
});
afterAll(async () => {
  await store.close();
  await server.close();
});

describeDestination("S3 with the bucket in the host's name", () =>
  openS3At(store, { addressing: "virtual-host", prefix: "some where/a+b/" }),
);

test("a store that takes nothing else says so, and how it is set", async () => {
  const byPath = openS3At(store);
  expect(failed(await byPath.put("x", new Uint8Array()))).toMatchObject({
    class: "bad",
    message: expect.stringContaining('set the destination\'s addressing to "virtual-host"'),
  });
});
