/** `npm run test:denokv`: the existing tool reads our backups. Says how to install it when it is not there. */
import { spawnSync } from "node:child_process";
import { denokvMissing } from "../denokv/denokv.ts";

const missing = denokvMissing();
if (missing !== undefined) {
  console.error(missing);
  process.exit(2);
}
const { status } = spawnSync("vitest", ["run", "--project", "denokv"], {
  stdio: "inherit",
  env: { ...process.env, CAIRN_TEST_DENOKV: "1" },
});
process.exit(status ?? 1);
