/** A server of `npm start`, a bucket beside it, and a shell with the variables that the pages' commands take. */
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { announced, type Program, runScript } from "../local/program.ts";
import { startS3Server } from "../support/s3-server.ts";
import { type Shell, startShell } from "./shell.ts";

export type BucketVariables = Readonly<
  Record<"S3_ENDPOINT" | "S3_REGION" | "S3_BUCKET" | "S3_ACCESS_KEY_ID" | "S3_SECRET_ACCESS_KEY", string>
>;

/** An empty bucket, until the test ends. */
export async function bucketVariables(): Promise<BucketVariables> {
  const s3 = await startS3Server();
  onTestFinished(() => s3.close());
  return {
    S3_ENDPOINT: s3.endpoint,
    S3_REGION: s3.region,
    S3_BUCKET: s3.bucket,
    S3_ACCESS_KEY_ID: s3.accessKeyId,
    S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
  };
}

/** The server's data lies in `folder`; the shell is in `cwd`. Both end with the test. */
export async function startWithShell(
  folder: string,
  variables: Readonly<Record<string, string>> = {},
  cwd = folder,
): Promise<{ readonly shell: Shell; readonly server: Program }> {
  const args = ["--port=0", "--json", `--persist-to=${join(folder, ".cairn")}`];
  const server = runScript("start", args);
  const {
    url: CAIRN_URL,
    organizationId: ORGANIZATION_ID,
    adminToken: ADMIN_TOKEN,
    databaseId: DATABASE_ID,
  } = await announced(server);
  const shell = startShell(cwd, { CAIRN_URL, ORGANIZATION_ID, ADMIN_TOKEN, DATABASE_ID, ...variables });
  return { shell, server };
}

/** Types the block, and gives what it has written. */
export async function typed(shell: Shell, block: string): Promise<string> {
  const before = shell.output().length;
  await shell.type(block);
  return shell.output().slice(before);
}
