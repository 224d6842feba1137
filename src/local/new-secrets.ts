/** `npm run secrets`: new secrets of a deployment, as the lines of a `.dev.vars` file. Writes nothing but what it prints. */
import { newSecrets } from "./secrets.ts";

for (const [name, value] of Object.entries(newSecrets())) process.stdout.write(`${name}="${value}"\n`);
