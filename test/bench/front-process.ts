/** The front of `npm start` alone, in a process of its own as there: `front-process.ts <port of the server behind> <folder of its secrets>`. */
import { isFailure } from "../../src/core/errors.ts";
import { admissionBy } from "../../src/local/admission.ts";
import { capacityFor, descriptorLimit } from "../../src/local/front/capacity.ts";
import type { ServerProcess } from "../../src/local/front/client.ts";
import { Front } from "../../src/local/front/front.ts";
import { deploymentSecrets } from "../../src/local/secrets.ts";

const [, , port, folder = ""] = process.argv;
const secrets = deploymentSecrets(folder, {}, ["127.0.0.1"]);
if (isFailure(secrets)) throw new Error(secrets.message);
const upstream: ServerProcess = { address: { host: "127.0.0.1", port: Number(port) }, pid: process.pid };
const admission = admissionBy(secrets);
const front = await Front.listen("127.0.0.1", 0, () => upstream, capacityFor(descriptorLimit()), {
  admission: () => admission,
});
if (isFailure(front)) throw new Error(front.message);
process.stdout.write(`${front.port}\n`);
