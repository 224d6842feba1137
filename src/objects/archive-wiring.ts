/** Builds a database's archives from what its object provides: the engine, destinations, schedule, notices. */
import type { ArchiveParts } from "../backup/archives/archive-answers.ts";
import { Archives } from "../backup/archives/archives.ts";
import { ArchiveDestinations } from "../backup/archives/archive-destinations.ts";
import { ProcessPace } from "../backup/archives/courtesy.ts";
import { ArchiveSchedule, openScheduleSecret, type ScheduledArchives } from "../backup/archives/archive-schedule.ts";
import { FailureNotices, type FailureNoticesParts } from "../backup/archives/failure-notices.ts";
import { settingsOf, settingsText } from "../backup/archives/full-settings.ts";
import { makePlanTables } from "../backup/archives/plan-schema.ts";
import type { Backup } from "../backup/continuous/backup.ts";
import type { RestoreService } from "../backup/recovery/restore-service.ts";
import type { BackupTask } from "../backup/sources.ts";
import { unframed } from "../codec/framed-body.ts";
import { archiveProtocol } from "../contracts/archive-files.ts";
import type { ArchiveListQuery } from "../contracts/archive-commands.ts";
import type { DatabaseSetup } from "../contracts/management.ts";
import { MAX_KEPT_ARCHIVES } from "../core/archive-limits.ts";
import type { Clock, UnixMs } from "../core/clock.ts";
import { encryptionKeys } from "../core/encryption-keys.ts";
import { type Failure, isFailure } from "../core/errors.ts";
import type { KeyList } from "../core/key-list.ts";
import type { SyncStorage } from "../core/storage.ts";
import { sendEvent } from "../directory/webhook-sender.ts";
import { newWebhookSecret } from "../directory/webhook-signature.ts";
import { parseWebhookUrl } from "../directory/webhook-url.ts";
import type { Database } from "../engine/database.ts";
import type { SideState } from "../engine/side-state.ts";
import { downloadMemory, hasOwnPlace, openArchivePlace, orphanedSource } from "./archive-places.ts";
import { secretBox } from "./backup-wiring.ts";
import type { Env } from "./env.ts";
import type { ObjectMode } from "./object-mode.ts";
import { becomeAfter, objectIn, refusalToFill } from "./restore-wiring.ts";
import type { Room } from "./room.ts";
import { organizationStub } from "./stubs.ts";
import { systemEntropy, systemTimers, systemTurn } from "./system.ts";
import { wayOut } from "./way-out.ts";

/** Shared by all objects in this process. */
export const processPace = new ProcessPace();

export interface ArchiveWiringParts {
  readonly storage: SyncStorage;
  readonly database: Database;
  readonly side: SideState;
  readonly backup: Backup;
  readonly restores: RestoreService;
  readonly mode: ObjectMode;
  readonly room: Room;
  readonly clock: Clock;
  readonly env: Env;
  readonly setup: DatabaseSetup;
  readonly dueBy: (at: UnixMs) => void;
}

export interface DatabaseArchives extends ArchiveParts {
  /** What the object's alarm runs, besides the jobs of restores and archives. */
  readonly tasks: readonly BackupTask[];
}

export function databaseArchives(parts: ArchiveWiringParts): DatabaseArchives {
  const { storage, database, side, backup, restores, mode, room, clock, env, setup, dueBy } = parts;
  const { databaseId, organizationId } = setup;
  const organization = () => organizationStub(env, organizationId);
  const destinations = archiveDestinations(parts, (id) => archives.busyAt(id));
  const archives = new Archives({
    storage,
    database,
    side,
    clock,
    entropy: systemEntropy,
    timers: systemTimers,
    downloadMemory,
    pace: processPace,
    keys: archiveKeys(env),
    room,
    databaseId,
    owner: organizationId,
    isTenant: (id) => organizationStub(env, id).exists(),
    jurisdiction: setup.jurisdiction,
    breathe: systemTurn,
    jobs: restores.jobs,
    stores: destinations,
    settings: {
      read: async () =>
        settingsText(schedule.setting(), destinations.list(), await organization().tokensOf(databaseId)),
      adopt: (text) => adoptSettings(text, storage, schedule, destinations),
    },
    refusal: () => mode.refusal("write"),
    adopt: (adoption, also) => database.adopt(side, adoption, also),
    adopted: (heldUpTo) => backup.restored(heldUpTo),
    fork: {
      refusal: () => refusalToFill("fork", database, mode),
      begun: () => becomeAfter("begin fork", mode),
      adopted: () => becomeAfter("adopt fork", mode),
      source: ({ databaseId: id, jurisdiction, isOrphaned, size }) =>
        isOrphaned === true ? orphanedSource(env, organizationId, size) : objectIn(env, jurisdiction, id),
    },
    // The schedule looks at its archive itself, in the same turn of the alarm.
    ended: () => undefined,
    noteJob: (jobId) => organization().noteJob(databaseId, jobId, "archive.create"),
    dueBy,
  });
  restores.attach(archives.workers);
  const { schedule, notices } = archiveSchedule(parts, destinations, {
    isBusy: () => restores.jobs.running !== null,
    begin: async (type, jobId) => {
      await organization().noteJob(databaseId, jobId, "archive.create");
      return archives.create({ jobId, type, description: "", origin: "schedule" });
    },
    get: (id) => archives.get(id),
    all: () => archives.list(EVERY_SCHEDULED).archives,
    destroy: (id) => archives.destroy(id),
    removeCopy: (id, destinationId) => archives.removeCopy(id, destinationId),
  });
  return { archives, destinations, schedule, tasks: [archives.task, schedule.task, notices.task] };
}

const EVERY_SCHEDULED: ArchiveListQuery = {
  sort: [{ by: "id", descending: true }],
  page: 1,
  pageSize: MAX_KEPT_ARCHIVES,
  filter: { origin: "schedule" },
};

/** null: archives are not encrypted, because the deployment has no key. */
function archiveKeys({ CAIRN_ENCRYPTION_KEYS: text }: Env): KeyList | null {
  const keys = text ? encryptionKeys(text) : null;
  return keys === null || isFailure(keys) ? null : keys;
}

/** In the transaction of the switch. */
function adoptSettings(
  text: string,
  storage: SyncStorage,
  schedule: ArchiveSchedule,
  destinations: ArchiveDestinations,
): void {
  const settings = settingsOf(text);
  if (settings === null || (settings.schedule === null && settings.destinations.length === 0)) return;
  makePlanTables(storage);
  if (settings.schedule !== null) schedule.restore(settings.schedule);
  for (const destination of settings.destinations) destinations.restore(destinations.newId(), destination);
}

function archiveDestinations(
  { storage, clock, env, setup }: ArchiveWiringParts,
  busyAt: (destinationId: string) => Failure | null,
): ArchiveDestinations {
  const { databaseId, organizationId } = setup;
  return new ArchiveDestinations({
    storage,
    clock,
    entropy: systemEntropy,
    databaseId,
    secrets: secretBox(env),
    open: (config, credentials) => openArchivePlace(config, credentials, organizationId, clock, env),
    busyAt,
    ownPlace: hasOwnPlace(env) ? { type: "local", directory: "" } : null,
  });
}

function archiveSchedule(
  { storage, clock, env, setup, dueBy }: ArchiveWiringParts,
  destinations: ArchiveDestinations,
  archives: ScheduledArchives,
): { readonly schedule: ArchiveSchedule; readonly notices: FailureNotices } {
  const { databaseId, organizationId } = setup;
  const secrets = secretBox(env);
  const notices = new FailureNotices({
    storage,
    clock,
    entropy: systemEntropy,
    databaseId,
    organizationId,
    send: sender({ clock, env, setup }, secrets),
  });
  const schedule = new ArchiveSchedule({
    storage,
    clock,
    databaseId,
    archives,
    notices,
    kept: () => destinations.kept(),
    secrets,
    checkUrl: (url) => parseWebhookUrl(url, { strict: env.CAIRN_DESTINATIONS !== "any" }),
    newSecret: () => newWebhookSecret(systemEntropy),
    newJobId: () => systemEntropy.uuid(),
    dueBy,
  });
  return { schedule, notices };
}

/** The file of an archive, on its way out or in: see `archiveProtocol`. */
export async function answerArchiveFile(request: Request, { archives }: ArchiveParts): Promise<Response> {
  const { pathname, searchParams } = new URL(request.url);
  if (request.method === "POST") {
    const description = decodeURIComponent(request.headers.get(archiveProtocol.descriptionHeader) ?? "");
    const archive = await archives.upload(unframed(request.body ?? new Blob([]).stream()), description);
    return isFailure(archive) ? refusal(archive) : Response.json(archive);
  }
  const id = pathname.slice(archiveProtocol.path.length + 1);
  const [first, last] = [searchParams.get("first"), searchParams.get("last")];
  const range = first === null || last === null ? null : { first: Number(first), last: Number(last) };
  const download = await archives.download(id, range);
  if (isFailure(download)) return refusal(download);
  const length = range === null ? download.size : range.last - range.first + 1;
  // A stream of a known length is sent with it, so that a client sees how far it is, and whether it has everything.
  const { readable, writable } = new FixedLengthStream(length);
  // The reader of the other end gets the error.
  download.body.pipeTo(writable).catch(() => undefined);
  return new Response(readable);
}

function refusal(why: Failure): Response {
  return Response.json(why, { status: 400 });
}

/** An endpoint that answers so wants no more events. */
const GONE = 410;

function sender(
  { clock, env, setup }: Pick<ArchiveWiringParts, "clock" | "env" | "setup">,
  secrets: ReturnType<typeof secretBox>,
): FailureNoticesParts["send"] {
  return async ({ id, url, secret, body }) => {
    if (url === null) {
      await organizationStub(env, setup.organizationId).tellOfArchive(id, body);
      return null;
    }
    const opened = await openScheduleSecret(secrets, setup.databaseId, secret ?? "");
    if (isFailure(opened)) return { error: opened.message, final: false };
    const parts = { clock, timers: systemTimers, fetch: wayOut(env.WEBHOOKS, env) };
    const { status, error } = await sendEvent(parts, { eventId: id, url, body }, [opened]);
    return error === null ? null : { error, final: status === GONE };
  };
}
