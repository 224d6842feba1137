/** The R2 bucket that vitest.config.ts binds for tests inside workerd. */
import { env } from "cloudflare:workers";

export function testBucket(): R2Bucket {
  if (!("TEST_BUCKET" in env)) throw new Error("vitest.config.ts binds no TEST_BUCKET");
  // Bindings that only tests have are in no declaration.
  return env.TEST_BUCKET as R2Bucket;
}
