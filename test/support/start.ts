/** `npm start` as src/local/start.ts has it, with a Worker that is built once in a run of the tests. */
import { join } from "node:path";
import { runProgram } from "../../src/local/program.ts";
import { onWorkerd, repository } from "../../src/local/server.ts";
import { cairnDeployment } from "../../src/local/workerd-config.ts";
import { builtWorker } from "./built-workers.ts";

const entry = join(repository, "src/worker.ts");
await runProgram("npm start", ".", () => onWorkerd(entry, cairnDeployment, { build: builtWorker }));
