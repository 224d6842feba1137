/** The S3 endpoint that wrangler has for local R2 buckets, on a port of its own: a real server with SigV4, in a fifth of a second. */
import { convertV4MiniflareOptions, Miniflare } from "miniflare";

export interface S3Server {
  /** Without a slash at its end; buckets are below it. */
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Empty at first, and gone when the server is closed. */
  readonly bucket: string;
  close(): Promise<void>;
}

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
