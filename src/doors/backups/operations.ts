/** The operations of archives, their schedule and their destinations, each once for both spellings of its address. */
import { refuse, reading } from "../../codec/json-notation/members.ts";
import type { Job } from "../../contracts/resources.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { jobJson } from "../http/job-json.ts";
import type { ArchiveCall, ArchiveOperation, Found } from "./call.ts";
import { downloadArchive } from "./download.ts";
import { archiveOf, changedDestinationOf, destinationOf, forkOf, scheduleOf } from "./input.ts";
import { archiveListQueryOf, destinationListQueryOf, LIST_PARAMETERS, wantedDestinations } from "./list-query.ts";
import type { ResourceName } from "./targets.ts";
import { uploadArchive } from "./upload.ts";
import { archiveJson, destinationJson, scheduleJson } from "./wire.ts";

type Named = Readonly<Record<string, ArchiveOperation>>;

const archives: Named = {
  create: {
    takesValues: true,
    async answer({ ask, databaseId, values }) {
      const wanted = reading(() => archiveOf(values));
      if (isFailure(wanted)) return wanted;
      const archive = await ask("archives.create", { databaseId, ...wanted });
      if (isFailure(archive)) return archive;
      const location = `/api/databases/${databaseId}/backups/${archive.id}`;
      return { status: 202, data: archiveJson(archive), headers: { location } };
    },
  },
  list: {
    query: LIST_PARAMETERS,
    async answer({ ask, databaseId, query }) {
      const wanted = archiveListQueryOf(query);
      if (isFailure(wanted)) return wanted;
      const found = await ask("archives.list", { databaseId, ...wanted });
      return isFailure(found) ? found : pageFound(found.archives.map(archiveJson), found.count, wanted);
    },
  },
  get: oneArchive("archives.get"),
  cancel: oneArchive("archives.cancel"),
  download: { takesId: true, answer: withArchiveId(downloadArchive) },
  verify: {
    takesId: true,
    answer: withArchiveId(async ({ ask, databaseId, id }) =>
      jobFound(await ask("archives.verify", { databaseId, archiveId: id })),
    ),
  },
  restore: {
    takesId: true,
    takesValues: true,
    answer: withArchiveId(async ({ ask, databaseId, id, values }) => {
      const wanted = reading(() => restoreOf(values));
      if (isFailure(wanted)) return wanted;
      return jobFound(await ask("archives.restore", { databaseId, archiveId: id, ...wanted }));
    }),
  },
  fork: {
    takesId: true,
    takesValues: true,
    answer: withArchiveId(async ({ ask, databaseId, id, values }) => {
      const wanted = reading(() => forkOf(values));
      if (isFailure(wanted)) return wanted;
      const made = await ask("archives.fork", { databaseId, archiveId: id, ...wanted });
      if (isFailure(made)) return made;
      const { id: newId, name } = made.database;
      const data = { database: { id: newId, name }, job: jobJson(made.job) };
      return { status: 201, data, headers: { location: `/api/databases/${newId}` } };
    }),
  },
  destroy: {
    takesId: true,
    answer: withArchiveId(async ({ ask, databaseId, id }) => {
      const done = await ask("archives.destroy", { databaseId, archiveId: id });
      return isFailure(done) ? done : { status: 204, data: { id, destroyed: true } };
    }),
  },
  upload: { query: ["description"], answer: uploadArchive },
};

const schedule: Named = {
  get: {
    answer: async ({ ask, databaseId }) => scheduleFound(await ask("archiveSchedule.get", { databaseId })),
  },
  update: {
    takesValues: true,
    async answer({ ask, databaseId, values }) {
      const changes = reading(() => scheduleOf(values));
      if (isFailure(changes)) return changes;
      const found = await ask("archiveSchedule.update", { databaseId, changes });
      return isFailure(found) ? ofValues(found, Object.keys(changes)) : scheduleFound(found);
    },
  },
};

/** The object names a member of what it was asked; in the request that member is one of `values`. */
function ofValues(why: Failure, members: readonly string[]): Failure {
  const isNamed = members.some((name) => why.message.startsWith(`${name} `) || why.message.startsWith(`${name}:`));
  return isNamed ? { ...why, message: `values.${why.message}` } : why;
}

const destinations: Named = {
  create: {
    takesValues: true,
    async answer({ ask, databaseId, values }) {
      const destination = reading(() => destinationOf(values));
      if (isFailure(destination)) return destination;
      const made = await ask("archiveDestinations.create", { databaseId, destination });
      if (isFailure(made)) return made;
      const location = `/api/databases/${databaseId}/backupDestinations/${made.id}`;
      return { status: 201, data: destinationJson(made), headers: { location } };
    },
  },
  list: {
    query: LIST_PARAMETERS,
    async answer({ ask, databaseId, query }) {
      const wanted = destinationListQueryOf(query);
      if (isFailure(wanted)) return wanted;
      const found = await ask("archiveDestinations.list", { databaseId });
      if (isFailure(found)) return found;
      const all = wantedDestinations(found.destinations, wanted);
      const { page, pageSize } = wanted;
      const onPage = all.slice((page - 1) * pageSize, page * pageSize);
      return pageFound(onPage.map(destinationJson), all.length, wanted);
    },
  },
  get: oneDestination("archiveDestinations.get"),
  test: oneDestination("archiveDestinations.test"),
  update: {
    takesId: true,
    takesValues: true,
    async answer({ ask, databaseId, id, values }) {
      const changes = reading(() => changedDestinationOf(values));
      if (isFailure(changes)) return changes;
      const found = await ask("archiveDestinations.update", { databaseId, destinationId: id.toLowerCase(), changes });
      return isFailure(found) ? found : { status: 200, data: destinationJson(found) };
    },
  },
  destroy: {
    takesId: true,
    async answer({ ask, databaseId, id }) {
      const done = await ask("archiveDestinations.destroy", { databaseId, destinationId: id.toLowerCase() });
      return isFailure(done) ? done : { status: 204, data: { id, destroyed: true } };
    },
  },
};

export const OPERATIONS: Readonly<Record<ResourceName, Named>> = {
  backups: archives,
  backupSchedule: schedule,
  backupDestinations: destinations,
};

export const operationNames: Readonly<Record<ResourceName, readonly string[]>> = {
  backups: Object.keys(archives),
  backupSchedule: Object.keys(schedule),
  backupDestinations: Object.keys(destinations),
};

function pageFound(
  data: readonly unknown[],
  count: number,
  { page, pageSize }: { readonly page: number; readonly pageSize: number },
): Found {
  return { status: 200, data, meta: { count, page, pageSize, totalPage: Math.ceil(count / pageSize) } };
}

function oneArchive(command: "archives.get" | "archives.cancel"): ArchiveOperation {
  return {
    takesId: true,
    answer: withArchiveId(async ({ ask, databaseId, id }) => {
      const archive = await ask(command, { databaseId, archiveId: id });
      return isFailure(archive) ? archive : { status: 200, data: archiveJson(archive) };
    }),
  };
}

function oneDestination(command: "archiveDestinations.get" | "archiveDestinations.test"): ArchiveOperation {
  return {
    takesId: true,
    async answer({ ask, databaseId, id }) {
      const found = await ask(command, { databaseId, destinationId: id.toLowerCase() });
      return isFailure(found) ? found : { status: 200, data: destinationJson(found) };
    },
  };
}

/** Ids of archives are numbers. */
function withArchiveId(answer: ArchiveOperation["answer"]): ArchiveOperation["answer"] {
  return async (call: ArchiveCall) =>
    /^[1-9]\d{0,15}$/.test(call.id)
      ? answer(call)
      : failure(
          "not-found",
          `There is no archive ${JSON.stringify(call.id.slice(0, 40))}: an id is a number, such as 7.`,
        );
}

function restoreOf(values: ArchiveCall["values"]): { readonly safetyArchive: boolean } {
  const { confirm, safetyArchive = true, ...others } = values;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined)
    refuse(`values.${unknown.slice(0, 40)} is not known here: a restore takes confirm and safetyArchive.`);
  if (typeof safetyArchive !== "boolean") return refuse("values.safetyArchive must be true or false.");
  if (confirm !== true) {
    return refuse(
      'A restore replaces the whole database. To confirm that, send {"confirm":true}; an archive of the present state is made first.',
    );
  }
  return { safetyArchive };
}

function jobFound(job: Job | Failure): Found | Failure {
  if (isFailure(job)) return job;
  return { status: 202, data: jobJson(job), headers: { location: `/api/jobs/${job.id}` } };
}

function scheduleFound(found: Parameters<typeof scheduleJson>[0] | Failure): Found | Failure {
  if (isFailure(found)) return found;
  // A secret is shown only once, and stays in no cache.
  const headers = found.secret === null ? {} : { "cache-control": "no-store" };
  return { status: 200, data: scheduleJson(found), headers };
}
