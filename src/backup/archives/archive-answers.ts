/** What a database's object answers to commands about archives, their destinations and their schedule. Each command goes to the part that knows it. */
import type { ArchiveAnswer, ArchiveCommand, ArchiveInfo } from "../../contracts/archive-commands.ts";
import type { BackupJob } from "../../contracts/restore-commands.ts";
import { type Failure, isFailure } from "../../core/errors.ts";
import type { ArchiveDestinations } from "./archive-destinations.ts";
import type { ArchiveSchedule } from "./archive-schedule.ts";
import type { ArchiveService } from "./archive-service.ts";

export interface ArchiveParts {
  readonly archives: ArchiveService;
  readonly destinations: ArchiveDestinations;
  readonly schedule: ArchiveSchedule;
}

export async function answerArchiveCommand(parts: ArchiveParts, command: ArchiveCommand): Promise<ArchiveAnswer> {
  const { archives, destinations, schedule } = parts;
  switch (command.command) {
    case "create": {
      const { jobId, type, description } = command;
      return archiveAnswer(await archives.create({ jobId, type, description, origin: "request" }));
    }
    case "list":
      return { ok: true, kind: "archives", ...archives.list(command) };
    case "get":
      return archiveAnswer(archives.get(command.id));
    case "cancel":
      return archiveAnswer(await archives.cancel(command.id));
    case "destroy":
      return doneAnswer(await archives.destroy(command.id));
    case "verify":
      return jobAnswer(await archives.verify(command.jobId, command.id));
    case "restore":
      return jobAnswer(await archives.restore(command));
    case "schedule":
      return { ok: true, kind: "schedule", schedule: schedule.get(), secret: null };
    case "set schedule": {
      const set = await schedule.set(command.changes);
      return set.ok ? { ok: true, kind: "schedule", schedule: set.schedule, secret: set.secret } : set;
    }
    case "destinations":
      return { ok: true, kind: "destinations", destinations: destinations.list() };
    case "destination":
      return destinationAnswer(destinations.get(command.id));
    case "add destination":
      return destinationAnswer(await destinations.add(destinations.newId(), command.destination));
    case "change destination":
      if (command.changes.config !== undefined) await archives.tidyAt(command.id);
      return destinationAnswer(await destinations.change(command.id, command.changes));
    case "remove destination":
      // Afterwards nobody knows the credentials.
      await archives.tidyAt(command.id);
      return doneAnswer(destinations.remove(command.id));
    case "test destination":
      return destinationAnswer(await destinations.test(command.id));
  }
}

function archiveAnswer(archive: ArchiveInfo | Failure): ArchiveAnswer {
  return isFailure(archive) ? archive : { ok: true, kind: "archive", archive };
}

function jobAnswer(job: BackupJob | Failure): ArchiveAnswer {
  return isFailure(job) ? job : { ok: true, kind: "job", job };
}

function destinationAnswer(destination: ReturnType<ArchiveDestinations["get"]>): ArchiveAnswer {
  return isFailure(destination) ? destination : { ok: true, kind: "destination", destination };
}

function doneAnswer(done: { readonly ok: true } | Failure): ArchiveAnswer {
  return done.ok ? { ok: true, kind: "done" } : done;
}
