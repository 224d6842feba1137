/** Jobs of many entries that the REST API has begun: `GET jobs/{id}`, with either kind of token. `GET /api/jobs/{id}` shows them too. */
import type { EntryJob } from "../../contracts/entry-commands.ts";
import type { UnixMs } from "../../core/clock.ts";
import { failure, isFailure } from "../../core/errors.ts";
import { versionstampHex } from "../../core/versionstamp.ts";
import { jsonAnswer } from "../http/answers.ts";
import type { Operation, RestCall } from "../http/call.ts";

export const getJob: Operation = {
  access: "write",
  query: [],
  async answer(call) {
    const { stub, grant, keyPath = "" } = call;
    if (!/^[0-9a-f-]{36}$/.test(keyPath)) return failure("not-found", "There is no such job: an id is a UUID.");
    const job = await stub.entryJob(grant, keyPath);
    return isFailure(job) ? job : jsonAnswer(textOfJob(call, job));
  },
};

export function begun(call: RestCall, job: EntryJob): Response {
  const location = `/api/databases/${call.databaseId}/jobs/${job.id}`;
  return jsonAnswer(textOfJob(call, job), { location }, 202);
}

function textOfJob({ databaseId }: RestCall, job: EntryJob): string {
  const { id, kind, status, done, total, rate, error, createdAt, finishedAt } = job;
  return JSON.stringify({
    id,
    kind,
    databaseId,
    status,
    done,
    total,
    rate,
    error,
    result: resultOf(job),
    createdAt: textOfTime(createdAt),
    finishedAt: finishedAt === null ? null : textOfTime(finishedAt),
  });
}

/** As `GET /api/jobs/{id}` shows it. A delete has nothing to add. */
function resultOf({ phase, version, undeleted }: EntryJob): object | null {
  if (undeleted === null) return null;
  const versionstamp = version === null ? null : versionstampHex(version);
  return { phase, versionstamp, damagedObject: null, verification: null, undone: null, before: null, undeleted };
}

function textOfTime(ms: UnixMs): string {
  return new Date(ms).toISOString();
}
