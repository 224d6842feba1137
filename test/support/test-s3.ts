/** `npm run test:s3`: the destination tests against the S3 server that the environment names; says which variables are missing. */
import { spawnSync } from "node:child_process";

const names = ["ENDPOINT", "BUCKET", "REGION", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY"].map(
  (name) => `CAIRN_TEST_S3_${name}`,
);
const missing = names.filter((name) => process.env[name] === undefined);
if (missing.length > 0) {
  console.error(`Set ${missing.join(", ")} to an S3 server, a bucket of it that exists, and credentials for it.`);
  process.exit(2);
}
const { status } = spawnSync("vitest", ["run", "--project", "node", "test/conformance/destinations"], {
  stdio: "inherit",
});
process.exit(status ?? 1);
