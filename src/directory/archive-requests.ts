/**
 * Commands about archives. They are checked against the scopes of the caller's token here, and the objects of databases carry them out.
 * The jobs that they begin are followed as those of restores are.
 */
import type { ArchiveAnswer, ArchiveCommand } from "../contracts/archive-commands.ts";
import { assert } from "../core/assert.ts";
import type { Input, Output } from "../contracts/management.ts";
import type { Job } from "../contracts/resources.ts";
import { type Failure, failure, isFailure } from "../core/errors.ts";
import type { NewJob } from "./job-orders.ts";
import { askDatabase } from "./ask-database.ts";
import type { Organization } from "./organization.ts";
import type { OrganizationParts } from "./organization-parts.ts";
import type { RestoreCommands } from "./restore-requests.ts";
import type { Admitted } from "./scopes.ts";

type Answered = Extract<ArchiveAnswer, { readonly ok: true }>;

export class ArchiveRequests {
  readonly #organization: Organization;
  readonly #parts: OrganizationParts;
  readonly #jobs: Pick<RestoreCommands, "begin" | "job" | "forkOfArchive">;

  constructor(
    organization: Organization,
    parts: OrganizationParts,
    jobs: Pick<RestoreCommands, "begin" | "job" | "forkOfArchive">,
  ) {
    this.#organization = organization;
    this.#parts = parts;
    this.#jobs = jobs;
  }

  async create(
    who: Admitted,
    { databaseId, type, description }: Input<"archives.create">,
  ): Promise<Output<"archives.create"> | Failure> {
    const wanted = { kind: "archive.create", databaseId, idempotency: null } as const;
    const begun = await this.#jobs.begin(who, wanted, (jobId) =>
      this.#ask(who, databaseId, { command: "create", jobId, type, description }, "archive"),
    );
    if (isFailure(begun)) return begun;
    assert(begun.answer !== null, "a job without an idempotency key, which is new");
    return begun.answer.archive;
  }

  async list(
    who: Admitted,
    { databaseId, ...query }: Input<"archives.list">,
  ): Promise<Output<"archives.list"> | Failure> {
    const answer = await this.#ask(who, databaseId, { command: "list", ...query }, "archives");
    return isFailure(answer) ? answer : { archives: answer.archives, count: answer.count };
  }

  get(who: Admitted, { databaseId, archiveId: id }: Input<"archives.get">): Promise<Output<"archives.get"> | Failure> {
    return this.#archive(who, databaseId, { command: "get", id });
  }

  cancel(
    who: Admitted,
    { databaseId, archiveId: id }: Input<"archives.cancel">,
  ): Promise<Output<"archives.cancel"> | Failure> {
    return this.#archive(who, databaseId, { command: "cancel", id });
  }

  async destroy(
    who: Admitted,
    { databaseId, archiveId: id }: Input<"archives.destroy">,
  ): Promise<Output<"archives.destroy"> | Failure> {
    const answer = await this.#ask(who, databaseId, { command: "destroy", id }, "done");
    return isFailure(answer) ? answer : { destroyed: true };
  }

  verify(who: Admitted, { databaseId, archiveId: id }: Input<"archives.verify">): Promise<Job | Failure> {
    const wanted = { kind: "archive.verify", databaseId, idempotency: null } as const;
    return this.#begin(who, wanted, (jobId) => ({ command: "verify", jobId, id }));
  }

  restore(
    who: Admitted,
    { databaseId, archiveId: id, safetyArchive }: Input<"archives.restore">,
  ): Promise<Job | Failure> {
    const wanted = { kind: "archive.restore", databaseId, idempotency: null } as const;
    return this.#begin(who, wanted, (jobId) => ({ command: "restore", jobId, id, safetyArchive }));
  }

  fork(who: Admitted, input: Input<"archives.fork">): Promise<Output<"archives.fork"> | Failure> {
    return this.#jobs.forkOfArchive(who, input, async () => {
      const archive = await this.get(who, input);
      if (isFailure(archive)) return archive;
      if (archive.status === "completed") return null;
      return failure("conflict", `The archive ${archive.id} is ${archive.status}: only a completed one has a file`);
    });
  }

  /** Where the database's object is, for the door, which asks it for bytes or hands it some. */
  place(who: Admitted, databaseId: string): Output<"archives.download"> | Failure {
    const database = this.#organization.database(who, databaseId);
    return isFailure(database) ? database : { jurisdiction: database.jurisdiction };
  }

  schedule(
    who: Admitted,
    { databaseId }: Input<"archiveSchedule.get">,
  ): Promise<Output<"archiveSchedule.get"> | Failure> {
    return this.#schedule(who, databaseId, { command: "schedule" });
  }

  setSchedule(
    who: Admitted,
    { databaseId, changes }: Input<"archiveSchedule.update">,
  ): Promise<Output<"archiveSchedule.update"> | Failure> {
    return this.#schedule(who, databaseId, { command: "set schedule", changes });
  }

  async destinations(
    who: Admitted,
    { databaseId }: Input<"archiveDestinations.list">,
  ): Promise<Output<"archiveDestinations.list"> | Failure> {
    const answer = await this.#ask(who, databaseId, { command: "destinations" }, "destinations");
    return isFailure(answer) ? answer : { destinations: answer.destinations };
  }

  destination(
    who: Admitted,
    { databaseId, destinationId: id }: Input<"archiveDestinations.get">,
  ): Promise<Output<"archiveDestinations.get"> | Failure> {
    return this.#destination(who, databaseId, { command: "destination", id });
  }

  addDestination(
    who: Admitted,
    { databaseId, destination }: Input<"archiveDestinations.create">,
  ): Promise<Output<"archiveDestinations.create"> | Failure> {
    return this.#destination(who, databaseId, { command: "add destination", destination });
  }

  changeDestination(
    who: Admitted,
    { databaseId, destinationId: id, changes }: Input<"archiveDestinations.update">,
  ): Promise<Output<"archiveDestinations.update"> | Failure> {
    return this.#destination(who, databaseId, { command: "change destination", id, changes });
  }

  async removeDestination(
    who: Admitted,
    { databaseId, destinationId: id }: Input<"archiveDestinations.destroy">,
  ): Promise<Output<"archiveDestinations.destroy"> | Failure> {
    const answer = await this.#ask(who, databaseId, { command: "remove destination", id }, "done");
    return isFailure(answer) ? answer : { destroyed: true };
  }

  testDestination(
    who: Admitted,
    { databaseId, destinationId: id }: Input<"archiveDestinations.test">,
  ): Promise<Output<"archiveDestinations.test"> | Failure> {
    return this.#destination(who, databaseId, { command: "test destination", id });
  }

  async #archive(
    who: Admitted,
    databaseId: string,
    command: ArchiveCommand,
  ): Promise<Output<"archives.get"> | Failure> {
    const answer = await this.#ask(who, databaseId, command, "archive");
    return isFailure(answer) ? answer : answer.archive;
  }

  async #schedule(
    who: Admitted,
    databaseId: string,
    command: ArchiveCommand,
  ): Promise<Output<"archiveSchedule.get"> | Failure> {
    const answer = await this.#ask(who, databaseId, command, "schedule");
    return isFailure(answer) ? answer : { schedule: answer.schedule, secret: answer.secret };
  }

  async #destination(
    who: Admitted,
    databaseId: string,
    command: ArchiveCommand,
  ): Promise<Output<"archiveDestinations.get"> | Failure> {
    const answer = await this.#ask(who, databaseId, command, "destination");
    return isFailure(answer) ? answer : answer.destination;
  }

  /** Has the database begin a job, after the job's row was written. */
  async #begin(who: Admitted, wanted: NewJob, command: (jobId: string) => ArchiveCommand): Promise<Job | Failure> {
    const { databaseId } = wanted;
    const begun = await this.#jobs.begin(who, wanted, (jobId) => this.#ask(who, databaseId, command(jobId), "job"));
    return isFailure(begun) ? begun : this.#jobs.job(who, begun.job.id);
  }

  #ask<Kind extends Answered["kind"]>(who: Admitted, databaseId: string, command: ArchiveCommand, kind: Kind) {
    const directory = { organization: this.#organization, parts: this.#parts };
    return askDatabase(directory, who, databaseId, kind, (database) => database.archives(command));
  }
}
