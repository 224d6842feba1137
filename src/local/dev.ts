/** `npm run dev`: wrangler's development server, which reloads on change, behind the same front. */
import { runProgram } from "./program.ts";
import { repository } from "./server.ts";
import { startWrangler } from "./wrangler-process.ts";

await runProgram(
  "npm run dev",
  "wrangler",
  async () => (folder, variables) => startWrangler(repository, folder, variables),
);
