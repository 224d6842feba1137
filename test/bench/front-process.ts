/** The front of `npm start` alone, in a process of its own as there: `front-process.ts <port of the server behind>`. */
import { isFailure } from "../../src/core/errors.ts";
import type { ServerProcess } from "../../src/local/front/client.ts";
import { Front } from "../../src/local/front/front.ts";
import { capacityFor, descriptorLimit } from "../../src/local/front/capacity.ts";

const upstream: ServerProcess = { address: { host: "127.0.0.1", port: Number(process.argv[2]) }, pid: process.pid };
const front = await Front.listen("127.0.0.1", 0, () => upstream, capacityFor(descriptorLimit()));
if (isFailure(front)) throw new Error(front.message);
process.stdout.write(`${front.port}\n`);
