/**
 * The Worker with some more doors, for tests that talk to a whole server: commands to a database's backup and to what brings it back,
 * writes and reads without a token. The real doors of backups have their own tests.
 */
import type { BackupCommand } from "../../../src/contracts/backup-commands.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import type { RestoreCommand } from "../../../src/contracts/restore-commands.ts";
import type { Env } from "../../../src/objects/env.ts";
import worker from "../../../src/worker.ts";

export { DatabaseObject, IndexObject, OrganizationObject } from "../../../src/worker.ts";

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    if (new URL(request.url).pathname === "/test/collect") return collectGarbage();
    const [, what, databaseId] =
      /^\/test\/(backup|restore|commit|read)\/([\w-]+)$/.exec(new URL(request.url).pathname) ?? [];
    if (what === undefined || databaseId === undefined) return worker.fetch(request, env);
    const database = env.DATABASES.getByName(databaseId);
    await database.initialize({ organizationId: "nobody", databaseId, jurisdiction: null });
    if (what === "backup") {
      // The test sends what the type says.
      const command: BackupCommand = await request.json();
      return Response.json(await database.backup(command));
    }
    if (what === "restore") {
      const command: RestoreCommand = await request.json();
      return Response.json(await database.restore(command));
    }
    const grant = { tokenId: "test", read: true, write: true, expiresAt: asUnixMs(8e15) };
    const body = new Uint8Array(await request.arrayBuffer());
    const answer = await (what === "read" ? database.snapshotRead(grant, body) : database.atomicWrite(grant, body));
    return answer instanceof Uint8Array ? new Response(answer) : Response.json(answer, { status: 400 });
  },
};

/** With V8's flag `--expose-gc`. */
function collectGarbage(): Response {
  const collect: unknown = Reflect.get(globalThis, "gc");
  if (typeof collect !== "function") return new Response("V8 was started without --expose-gc", { status: 501 });
  collect();
  return new Response();
}
