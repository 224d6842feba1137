/** One S3 endpoint for all tests that run inside workerd, where no server can be started: `inject("s3")` says where it is. */
import type { TestProject } from "vitest/node";
import type { S3Place } from "./s3-place.ts";
import { startS3Server } from "./s3-server.ts";

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startS3Server();
  const { endpoint, region, accessKeyId, secretAccessKey, bucket } = server;
  const place: S3Place = { endpoint, region, accessKeyId, secretAccessKey, bucket };
  project.provide("s3", place);
  return () => server.close();
}
