/** `npm start`: the Worker on plain workerd, behind the front. */
import { join } from "node:path";
import { runProgram } from "./program.ts";
import { onWorkerd, repository } from "./server.ts";
import { cairnDeployment } from "./workerd-config.ts";

await runProgram("npm start", ".", () => onWorkerd(join(repository, "src/worker.ts"), cairnDeployment));
