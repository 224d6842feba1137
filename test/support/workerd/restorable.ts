/** A database with a backup over the real S3 endpoint that can be brought back, as an object has all of it. */
import type { Destination } from "../../../src/backup/destinations/destination.ts";
import { RestoreService } from "../../../src/backup/recovery/restore-service.ts";
import type { RestoreCommand, BackupJob } from "../../../src/contracts/restore-commands.ts";
import { toHex } from "../../../src/core/bytes.ts";
import { type Version, versionstampHex } from "../../../src/core/versionstamp.ts";
import { SideState } from "../../../src/engine/side-state.ts";
import { systemEntropy } from "../../../src/objects/system.ts";
import { openS3, secretBox, type TestBackup } from "./backup.ts";
import { describe as describeEntries, endlessRoom } from "./restore.ts";

function nobody(): never {
  throw new Error("nobody else is needed");
}

/** The backup, and what brings its database back, as an object has both. */
export class Restorable {
  readonly backup: TestBackup;
  readonly service: RestoreService;

  /** `through`: stands before the destination when the backup is read. */
  constructor(backup: TestBackup, through: (destination: Destination) => Destination = (one) => one) {
    this.backup = backup;
    const { storage, clock, databaseId, database } = backup;
    const side = new SideState(storage);
    this.service = new RestoreService({
      storage,
      clock,
      entropy: systemEntropy,
      database,
      side,
      adopt: (adoption, also) => database.adopt(side, adoption, also),
      refusal: () => null,
      begun: () => undefined,
      adopted: () => undefined,
      own: backup.backup,
      connect: ({ prefix }) => through(openS3(prefix)),
      secrets: secretBox(),
      room: endlessRoom,
      objectName: databaseId,
      revoked: () => [],
      object: nobody,
      otherDatabase: nobody,
      dueBy: () => undefined,
      breathe: async () => undefined,
      atTurn: async (work) => work(),
    });
  }

  async job(command: RestoreCommand): Promise<BackupJob> {
    const answer = await this.service.run(command);
    if (!answer.ok || answer.kind !== "job") throw new Error(JSON.stringify(answer));
    return answer.job;
  }

  /** Restores in place while the export runs beside. */
  async restore(
    jobId: string,
    at: Version,
    meanwhile: () => void,
    prefix: Uint8Array | null = null,
  ): Promise<BackupJob> {
    const hex = prefix === null ? null : toHex(prefix);
    await this.job({ command: "restore", jobId, at: versionstampHex(at), prefix: hex });
    return this.finish(jobId, meanwhile);
  }

  async finish(jobId: string, meanwhile: () => void = () => undefined): Promise<BackupJob> {
    for (let i = 0; i < 100; i++) {
      meanwhile();
      await this.service.task.run();
      const job = await this.job({ command: "job", jobId });
      if (job.status !== "running") return job;
      await this.backup.pass(500);
    }
    throw new Error("the restore does not end");
  }

  stored(): string {
    return describeEntries(this.backup.database.scan(null, { maxBytes: Infinity, maxEntries: 1e9 }));
  }
}
