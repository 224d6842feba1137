/** `npm run secrets`: prints new secrets for a deployment, as the lines of a `.dev.vars` file. Writes no file. */
import { newSecrets } from "./secrets.ts";

for (const [name, value] of Object.entries(newSecrets())) process.stdout.write(`${name}="${value}"\n`);
