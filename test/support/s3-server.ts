/** The S3 endpoint that wrangler has for local R2 buckets, on a port of its own: a real server with SigV4, in a fifth of a second. */
import type { S3Place } from "./s3-place.ts";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";

export interface S3Server extends S3Place {
  close(): Promise<void>;
}

/** Its bucket is empty at first, and gone when the server is closed. */
export async function startS3Server(): Promise<S3Server> {
  const bucket = "backups";
  const credentials = { accessKeyId: "cairn-test-key", secretAccessKey: "cairn-test-secret" };
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: "export default { fetch: () => new Response(null, { status: 404 }) }",
      compatibilityDate: "2026-11-02",
      host: "127.0.0.1",
      port: 0,
      cf: false,
      r2Buckets: { BUCKET: { id: bucket, s3Credentials: credentials } },
    }),
  );
  const url = await miniflare.ready;
  return {
    endpoint: `${url.origin}/cdn-cgi/local/r2/s3`,
    region: "auto",
    ...credentials,
    bucket,
    close: () => miniflare.dispose(),
  };
}

/** The server that the environment names, or undefined when it names none. It is not ours to close. */
export function s3FromEnvironment(): S3Server | undefined {
  if (process.env["CAIRN_TEST_S3_ENDPOINT"] === undefined) return undefined;
  return {
    endpoint: variable("CAIRN_TEST_S3_ENDPOINT"),
    region: variable("CAIRN_TEST_S3_REGION"),
    accessKeyId: variable("CAIRN_TEST_S3_ACCESS_KEY_ID"),
    secretAccessKey: variable("CAIRN_TEST_S3_SECRET_ACCESS_KEY"),
    bucket: variable("CAIRN_TEST_S3_BUCKET"),
    close: async () => {},
  };
}

function variable(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`CAIRN_TEST_S3_ENDPOINT is set, and ${name} is not`);
  return value;
}
