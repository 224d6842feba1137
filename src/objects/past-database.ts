/**
 * A database as of a commit, as the doors see it. Its state lies in an object of its own. That object may be wiped while grants for it
 * are still valid: nobody has read it for a while, or it made room for another state. The next read has it built again, and is told to
 * ask again meanwhile. An object without the state never answers for it.
 */
import type { CommandedRange, EntryAnswer, EntryCommand, EntryCount } from "../contracts/entry-commands.ts";
import type { DocumentAnswer, DocumentRequest, TableAnswer, TableCommand } from "../contracts/document-commands.ts";
import type { Grant } from "../contracts/grant.ts";
import { failure, type Failure, isFailure } from "../core/errors.ts";

import { type DatabaseOwner, PAST_IS_BEING_BUILT, type PastKeeper } from "../contracts/restore-commands.ts";
import { PAST_IS_READ_ONLY } from "../contracts/grant.ts";
import type { DatabaseStub, LargeAnswer } from "../contracts/database.ts";

export class PastDatabase implements DatabaseStub {
  readonly #state: DatabaseStub;
  readonly #keeper: PastKeeper;
  readonly #grant: Grant;
  readonly #at: string;

  /** `at` is that of the grant. */
  constructor(state: DatabaseStub, keeper: PastKeeper, grant: Grant, at: string) {
    this.#state = state;
    this.#keeper = keeper;
    this.#grant = grant;
    this.#at = at;
  }

  async snapshotRead(grant: Grant, request: Uint8Array): Promise<Uint8Array | LargeAnswer | Failure> {
    const answer = await this.#state.snapshotRead(grant, request);
    return answer instanceof Uint8Array || answer.ok ? answer : this.#reason(answer);
  }

  async entries(grant: Grant, command: EntryCommand): Promise<EntryAnswer> {
    const answer = await this.#state.entries(grant, command);
    return isFailure(answer) ? this.#reason(answer) : answer;
  }

  owner(grant: Grant): Promise<DatabaseOwner | Failure> {
    return this.#keeper.owner(grant);
  }

  async countEntries(grant: Grant, range: CommandedRange): Promise<EntryCount | Failure> {
    const answer = await this.#state.countEntries(grant, range);
    return isFailure(answer) ? this.#reason(answer) : answer;
  }

  async documents(grant: Grant, request: DocumentRequest): Promise<DocumentAnswer | Failure> {
    const answer = await this.#state.documents(grant, request);
    return answer.ok ? answer : this.#reason(answer);
  }

  async documentTables(grant: Grant, command: TableCommand): Promise<TableAnswer | Failure> {
    const answer = await this.#state.documentTables(grant, command);
    return answer.ok ? answer : this.#reason(answer);
  }

  async keyHistory(): Promise<Failure> {
    return failure("unsupported", "A state of the past has no history: ask the database itself.");
  }

  async deleteEntries(): Promise<Failure> {
    return PAST_IS_READ_ONLY;
  }

  async importEntries(): Promise<Failure> {
    return PAST_IS_READ_ONLY;
  }

  async beginUndelete(): Promise<Failure> {
    return PAST_IS_READ_ONLY;
  }

  async entryJob(): Promise<Failure> {
    return PAST_IS_READ_ONLY;
  }

  async atomicWrite(): Promise<Failure> {
    return PAST_IS_READ_ONLY;
  }

  async writeAtTurn(): Promise<Failure> {
    return PAST_IS_READ_ONLY;
  }

  async clearLevel(): Promise<Failure> {
    return PAST_IS_READ_ONLY;
  }

  async feedPage(): Promise<Failure> {
    return failure("unsupported", "A database as it was at a moment has no change feed: ask the database itself.");
  }

  async fetch(request: Request): Promise<Response> {
    const answer = await this.#state.fetch(request);
    if (answer.status < 400) return answer;
    // The body of a refusal is a Failure, as `DatabaseStub` says.
    const refused: Failure = await answer.json();
    return Response.json(await this.#reason(refused), { status: answer.status });
  }

  /** The answer when the object of the state has refused: the database itself knows whether the state can be had at all. */
  async #reason(refused: Failure): Promise<Failure> {
    if (refused.code !== "not-found" && refused.code !== "unavailable") return refused;
    const opened = await this.#keeper.openPast(this.#grant, this.#at, "idle");
    if (isFailure(opened)) return opened;
    return opened.ready && refused.code === "unavailable" ? refused : PAST_IS_BEING_BUILT;
  }
}
