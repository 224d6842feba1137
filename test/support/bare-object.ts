import { DurableObject } from "cloudflare:workers";

/** The smallest Worker with the deployment's object, for tests of what runs inside an object and needs only its storage. */
export class DatabaseObject extends DurableObject {}

export default {
  fetch(): Response {
    return new Response(null, { status: 404 });
  },
};
