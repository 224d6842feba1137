/**
 * What the database is compared with, and the object in which the engine is measured without HTTP around it.
 *
 *   POST /empty    the Worker reads the body and answers
 *   POST /object   the Worker hands the body to an object that does nothing, as our door does, and answers with what it gives
 *   POST /upsert   the same, and the object writes one row, with a value it never had
 *   POST /engine   the body is a task of `engine-tasks.ts` as JSON, and so is the answer
 *   POST /documents  the same with a task of `document-tasks.ts`
 */
import { DurableObject } from "cloudflare:workers";
import { valueOf } from "../operations.ts";
import type { ArchiveTask } from "./archive-task.ts";
import { ArchiveTasks } from "./archive-tasks.ts";
import { DocumentTasks, type DocumentTask, type DocumentTaskResult } from "./document-tasks.ts";
import { EngineTasks, type EngineTask, type EngineTaskResult } from "./engine-tasks.ts";

interface BenchEnv {
  readonly BENCH: DurableObjectNamespace<BenchObject>;
}

/** The answer of a call that has nothing to say: a SnapshotReadOutput without ranges. */
const ANSWER = Uint8Array.of(0x20, 1, 0x40, 1);
const UPSERTED_KEYS = 1000;
const UPSERTED_BYTES = 60;

export class BenchObject extends DurableObject<BenchEnv> {
  #upserts = 0;
  #engine: EngineTasks | undefined;
  #archives: ArchiveTasks | undefined;
  #documents: DocumentTasks | undefined;

  constructor(ctx: DurableObjectState, env: BenchEnv) {
    super(ctx, env);
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS upserted (k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID");
  }

  async empty(_grant: object, _request: Uint8Array): Promise<Uint8Array> {
    return ANSWER;
  }

  async upsert(_grant: object, _request: Uint8Array): Promise<Uint8Array> {
    const number = this.#upserts++;
    this.ctx.storage.sql.exec(
      "INSERT INTO upserted (k, v) VALUES (?1, ?2) ON CONFLICT (k) DO UPDATE SET v = excluded.v",
      valueOf(16, number % UPSERTED_KEYS),
      valueOf(UPSERTED_BYTES, number),
    );
    return ANSWER;
  }

  async archives(task: ArchiveTask): Promise<EngineTaskResult> {
    this.#archives ??= new ArchiveTasks(this.ctx.storage, () => scheduler.wait(0));
    return this.#archives.run(task);
  }

  async documents(task: DocumentTask): Promise<DocumentTaskResult> {
    this.#documents ??= new DocumentTasks(this.ctx.storage, () => scheduler.wait(0));
    return this.#documents.run(task);
  }

  async run(task: EngineTask): Promise<EngineTaskResult> {
    this.#engine ??= new EngineTasks(this.ctx.storage);
    return this.#engine.run(task);
  }
}

/** Crosses with every call, as the grant does with ours. */
const GRANT = { tokenId: "configured", read: true, write: true, expiresAt: 8_640_000_000_000_000 };
const PROTOBUF = { headers: { "content-type": "application/x-protobuf" } };

export default {
  async fetch(request: Request, env: BenchEnv): Promise<Response> {
    const path = request.url.slice(request.url.indexOf("/", "http://".length));
    switch (path) {
      case "/empty":
        await request.arrayBuffer();
        return new Response(ANSWER, PROTOBUF);
      case "/object":
        return bytesOf(await env.BENCH.getByName("empty").empty(GRANT, new Uint8Array(await request.arrayBuffer())));
      case "/upsert":
        return bytesOf(await env.BENCH.getByName("upsert").upsert(GRANT, new Uint8Array(await request.arrayBuffer())));
      case "/engine": {
        // The measuring program alone sends these.
        const task = (await request.json()) as EngineTask;
        return Response.json(await env.BENCH.getByName(task.object).run(task));
      }
      case "/archives": {
        const task = (await request.json()) as ArchiveTask;
        return Response.json(await env.BENCH.getByName("archives").archives(task));
      }
      case "/documents": {
        const task = (await request.json()) as DocumentTask;
        return Response.json(await env.BENCH.getByName("documents").documents(task));
      }
      default:
        return new Response(null, { status: 404 });
    }
  },
};

function bytesOf(answer: Uint8Array): Response {
  return new Response(answer, PROTOBUF);
}
