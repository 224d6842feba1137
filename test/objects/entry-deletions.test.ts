/** Deletes of a range: what is deleted at once, what is left to a job, and what is noted at the organization. */
import { expect, test } from "vitest";
import type { BackupJob, RestoreAnswer, RestoreCommand } from "../../src/contracts/restore-commands.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { failure, type Failure } from "../../src/core/errors.ts";
import { MAX_DELETED_AT_ONCE, MAX_DELETED_PER_COMMIT } from "../../src/core/limits.ts";
import { asVersion } from "../../src/core/versionstamp.ts";
import { EntryDeletions } from "../../src/objects/entry-deletions.ts";
import { EntryJobs } from "../../src/objects/entry-jobs.ts";
import { freeTurns } from "../support/free-turns.ts";

const range = { start: Uint8Array.of(2), end: Uint8Array.of(3) };
const version = asVersion(7);
const allowed = () => null;

const job = (status: BackupJob["status"]): BackupJob => ({
  id: "j",
  kind: "delete",
  status,
  phase: "",
  done: 0,
  total: 0,
  rate: null,
  error: null,
  damagedObject: null,
  version: null,
  verification: null,
  outcome: null,
  undeleted: null,
  createdAt: asUnixMs(0),
  finishedAt: null,
});

function deletions(count: number, jobs: readonly BackupJob[] = [], slices: readonly number[] = []) {
  const log: string[] = [];
  let slice = 0;
  const object = new EntryDeletions({
    database: {
      deleteWithin: (_, limit, also) => {
        const deleted = slices[slice++] ?? 0;
        const next = deleted === limit ? Uint8Array.of(2, slice) : null;
        also(deleted, next);
        log.push(`deleted ${deleted}`);
        return { deleted, next, version };
      },
    },
    counts: { count: async () => ({ ok: true, count, version }) },
    jobs: new EntryJobs({
      restores: {
        async run(command: RestoreCommand): Promise<RestoreAnswer | Failure> {
          if (command.command === "jobs") return { ok: true, kind: "jobs", jobs };
          log.push(command.command);
          return command.command === "delete"
            ? { ok: true, kind: "job", job: { ...job("running"), id: command.jobId, total: command.total } }
            : failure("not-found", "There is no job.");
        },
      },
      newId: () => "new",
      note: async (id, kind) => void log.push(`noted ${id}, ${kind}`),
    }),
    flushed: async () => undefined,
    turns: freeTurns(async () => void log.push("turn")),
  });
  return { object, log };
}

test("as many as one request deletes are deleted in it, with turns for others in between (H18)", async () => {
  const { object, log } = deletions(MAX_DELETED_AT_ONCE, [], [MAX_DELETED_PER_COMMIT, 3]);
  expect(await object.delete(range, false, allowed)).toEqual({ ok: true, count: MAX_DELETED_PER_COMMIT + 3, version });
  expect(log).toEqual([`deleted ${MAX_DELETED_PER_COMMIT}`, "turn", "deleted 3"]);
});

test("one more is a job, which the organization knows of before it begins (H19)", async () => {
  const { object, log } = deletions(MAX_DELETED_AT_ONCE + 1);
  expect(await object.delete(range, false, allowed)).toMatchObject({
    job: { id: "new", total: MAX_DELETED_AT_ONCE + 1 },
  });
  expect(log).toEqual(["noted new, entries.delete", "delete"]);
});

test("a dry run only counts (H18)", async () => {
  const { object, log } = deletions(5);
  expect(await object.delete(range, true, allowed)).toEqual({ ok: true, count: 5, version });
  expect(log).toEqual([]);
});

test("while another job runs nothing is noted, so that nobody fills the organization with refused jobs (H19)", async () => {
  const { object, log } = deletions(MAX_DELETED_AT_ONCE + 1, [job("completed"), job("running")]);
  expect(await object.delete(range, false, allowed)).toMatchObject({ ok: false, code: "conflict" });
  expect(log).toEqual([]);
});

test("whoever goes on writing where a request deletes gets a job for the rest (H18)", async () => {
  const endless = Array.from({ length: 100 }, () => MAX_DELETED_PER_COMMIT);
  const { object, log } = deletions(1, [], endless);
  expect(await object.delete(range, false, allowed)).toMatchObject({ job: { id: "new" } });
  expect(log.filter((each) => each.startsWith("deleted")).length).toBeLessThan(25);
});

test("a token that is revoked while others have their turn deletes nothing more (H3)", async () => {
  const { object, log } = deletions(MAX_DELETED_AT_ONCE, [], [MAX_DELETED_PER_COMMIT, 3]);
  const revoked = failure("unauthenticated", "The token was revoked");
  expect(await object.delete(range, false, () => (log.includes("turn") ? revoked : null))).toEqual(revoked);
  expect(log).toEqual([`deleted ${MAX_DELETED_PER_COMMIT}`, "turn"]);
});
