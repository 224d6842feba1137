/** One S3 endpoint for all tests that run inside workerd, where no server can be started: `inject("s3")` says where it is. */
import type { TestProject } from "vitest/node";
import { type S3Server, startS3Server } from "./s3-server.ts";

declare module "vitest" {
  interface ProvidedContext {
    s3: Omit<S3Server, "close">;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { close, ...place } = await startS3Server();
  project.provide("s3", place);
  return close;
}
