/** The front of `npm start` alone, in a process of its own as there: `front-process.ts <port of the server behind>`. */
import { isFailure } from "../../src/core/errors.ts";
import { Front } from "../../src/local/front/front.ts";
import { capacityFor, descriptorLimit } from "../../src/local/front/capacity.ts";

const upstreamPort = Number(process.argv[2]);
const front = await Front.listen(
  "127.0.0.1",
  0,
  () => ({ port: upstreamPort, pid: process.pid }),
  capacityFor(descriptorLimit()),
);
if (isFailure(front)) throw new Error(front.message);
process.stdout.write(`${front.port}\n`);
