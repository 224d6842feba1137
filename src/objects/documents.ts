/**
 * Carries out requests for documents. The rules are in `src/documents/`; here they meet the grant, the room for new data and the commit
 * queue. Each write is one commit, whose condition is decided in the same step.
 */
import type {
  AppOrTable,
  DocumentAnswer,
  DocumentRequest,
  DocumentResult,
  DocumentSubject,
} from "../contracts/document-commands.ts";
import { type Access, admittedRange, type Grant, refusedKeys } from "../contracts/grant.ts";
import { reading } from "../codec/json-notation/members.ts";
import { justAfter } from "../core/bytes.ts";
import { MAX_LOOKED_AT_BYTES } from "../core/document-limits.ts";
import type { WorkTurns } from "../core/process-turns.ts";
import type { Clock } from "../core/clock.ts";
import type { Entropy } from "../core/entropy.ts";
import { type Failure, failure, isFailure } from "../core/errors.ts";
import type { Definitions } from "../documents/definitions.ts";
import {
  answerGet,
  answerGetMany,
  BYTES_PER_STEP,
  freshBudget,
  type ReadBudget,
  type ReadContext,
  answersAreFull,
} from "../documents/reads.ts";
import {
  type DocumentActionRequest,
  isWrite,
  type ParsedBody,
  parseBody,
  type ReadRequest,
  type WriteRequest,
} from "../documents/request.ts";
import { keyOfDecoded, mostBytes, mostMutations, versionsOf, WritePlan } from "../documents/writes.ts";
import type { CommitOutcome } from "../engine/commit-path.ts";
import type { Database } from "../engine/database.ts";
import { decidedWrite, type DecidedWrite } from "../engine/decided-write.ts";
import type { CommitQueue } from "./commit-queue.ts";
import type { DocumentMemory } from "./document-memory.ts";
import { type DocumentTables, refusedTable } from "./document-tables.ts";
import type { Room } from "./room.ts";
import type { Searches } from "./searches.ts";

export interface DocumentsParts {
  readonly database: Pick<Database, "readPage" | "readBytes" | "lastVersion">;
  readonly commits: Pick<CommitQueue, "submitAll">;
  readonly room: Pick<Room, "refusal">;
  readonly tables: Pick<DocumentTables, "definitionOf">;
  readonly definitions: Definitions;
  readonly searches: Pick<Searches, "search">;
  readonly memory: Pick<DocumentMemory, "use">;
  readonly entropy: Entropy;
  readonly clock: Clock;
  /** The turns of the organization's long requests in the process. */
  readonly turns: WorkTurns;
}

/** Who asks. */
export interface Asking {
  readonly grant: Grant;
  /** Why this access is not allowed at present: asked again for each step, because a token may be revoked meanwhile. null: it is. */
  readonly refusedAccess: (access: Access) => Failure | null;
}

type Judged = DocumentActionRequest | Failure;

/** A write with the place where its answer appears when it is applied. */
interface Prepared {
  readonly requests: readonly WriteRequest[];
  readonly write: DecidedWrite;
  /** Of the requests, and of the documents that they change. */
  readonly bytes: number;
  /** Of the documents whose columns have to be decoded. */
  readonly decoded: number;
  /** The answers of the last time that the write was decided, and the last of them may be a failure. */
  readonly answers: () => readonly (string | Failure)[];
}

/** Bytes that JSON takes in memory for each of its members, beside its text. */
const PARSED_MEMBER_BYTES = 40;

const NO_SUBJECT: DocumentSubject = { appId: null, tableId: null, action: null };
const NOT_DECIDED = failure("internal", "The write was not decided: this is a bug of Cairn");

export class Documents {
  readonly #parts: DocumentsParts;

  constructor(parts: DocumentsParts) {
    this.#parts = parts;
  }

  async carryOut(asking: Asking, request: DocumentRequest): Promise<DocumentAnswer | Failure> {
    const { memory: memories, turns } = this.#parts;
    const [memory, body] = turns.piece(() => [memoryOf(request.text), parseBody(request.text)]);
    if (isFailure(body)) return body;
    return memories.use(memory, mayAnswerMuch(body), () => this.#carryOut(asking, body, request.tables, memory));
  }

  async #carryOut(
    asking: Asking,
    body: ParsedBody,
    tables: DocumentRequest["tables"],
    memory: number,
  ): Promise<DocumentAnswer> {
    const requests = body.requests.map(({ request }): Judged =>
      isFailure(request) ? request : (refusedRequest(request, asking, tables) ?? request),
    );
    const results = body.isAtomic
      ? await this.#together(asking, requests, memory)
      : await this.#oneByOne(asking, requests, memory);
    return {
      ok: true,
      isBatch: body.isBatch,
      results: results.map((result, index) => ({ subject: body.requests[index]?.subject ?? NO_SUBJECT, result })),
    };
  }

  /** Each on its own, in order. Writes that follow each other are applied together, each as a commit of its own. */
  async #oneByOne(asking: Asking, requests: readonly Judged[], memory: number): Promise<DocumentResult[]> {
    const results: DocumentResult[] = [];
    const budget = freshBudget();
    let writes: WriteRequest[] = [];
    let looked = 0;
    const share = Math.ceil(memory / requests.length);
    for (const request of requests) {
      if (!isFailure(request) && isWrite(request)) {
        writes.push(request);
        continue;
      }
      results.push(...(await this.#write(asking, writes, share)));
      writes = [];
      if (looked > BYTES_PER_STEP) {
        await this.#parts.turns.next();
        looked = 0;
      }
      const before = budget.bytes;
      results.push(isFailure(request) ? request : await this.#read(asking, request, budget));
      looked += before - budget.bytes;
    }
    results.push(...(await this.#write(asking, writes, share)));
    return results;
  }

  async #read({ grant, refusedAccess }: Asking, request: ReadRequest, budget: ReadBudget): Promise<DocumentResult> {
    const refused = refusedAccess("read");
    if (refused !== null) return refused;
    const context: ReadContext = {
      database: this.#parts.database,
      clock: this.#parts.clock,
      turns: this.#parts.turns,
      definitionOf: (table) => this.#parts.tables.definitionOf(table),
      admitted: (range) => admittedRange(grant, range),
      budget,
    };
    const result = await this.#answer(request, context);
    // A key that was deleted meanwhile sees nothing.
    return refusedAccess("read") ?? result;
  }

  async #answer(request: ReadRequest, context: ReadContext): Promise<DocumentResult> {
    switch (request.action) {
      case "get":
        return reading(() => answerGet(request, context));
      case "getMany":
        return answerGetMany(request, context);
      case "search": {
        const { budget } = context;
        const result = answersAreFull(budget) ?? (await this.#parts.searches.search(request));
        if (result.ok) budget.characters -= result.json.length;
        return result;
      }
    }
  }

  /** Each as a commit of its own, in order. `share`: the memory that a request takes. */
  async #write(asking: Asking, requests: readonly WriteRequest[], share: number): Promise<DocumentResult[]> {
    const results: DocumentResult[] = [];
    let rest = requests;
    while (rest.length > 0) {
      const step: Prepared[] = [];
      let bytes = 0;
      for (const request of rest) {
        if (step.length > 0 && bytes > BYTES_PER_STEP) break;
        const prepared = this.#parts.turns.piece(() => this.#prepare(asking, [request], share));
        bytes += prepared.bytes;
        step.push(prepared);
      }
      rest = rest.slice(step.length);
      results.push(...(await this.#commit(step)).map((outcomes) => outcomes[0] ?? NOT_DECIDED));
      if (rest.length > 0) await this.#parts.turns.next();
    }
    return results;
  }

  /** All or none. */
  async #together(asking: Asking, requests: readonly Judged[], memory: number): Promise<DocumentResult[]> {
    const writes = requests.map((request): WriteRequest | Failure => {
      if (isFailure(request) || isWrite(request)) return request;
      return failure(
        "invalid",
        `action is "${request.action}"; an atomic batch takes only "create", "update" and "delete".`,
      );
    });
    const wrong = writes.findIndex((write) => isFailure(write));
    if (wrong !== -1) return writes.map((write) => (isFailure(write) ? write : becauseOf(wrong)));
    const all = writes.flatMap((write) => (isFailure(write) ? [] : [write]));
    const prepared = this.#parts.turns.piece(() => this.#prepare(asking, all, memory));
    if (prepared.decoded > MAX_LOOKED_AT_BYTES) {
      const tooMuch = failure(
        "limit",
        `The documents that this atomic batch looks at or updates have ${prepared.decoded} bytes together; the limit is ${MAX_LOOKED_AT_BYTES}. Send fewer requests in one batch.`,
      );
      return requests.map(() => tooMuch);
    }
    const [results = []] = await this.#commit([prepared]);
    return [...results];
  }

  #prepare({ grant, refusedAccess }: Asking, requests: readonly WriteRequest[], memory: number): Prepared {
    const { entropy, definitions } = this.#parts;
    const versions = versionsOf(requests);
    let answers: (string | Failure)[] = [];
    const context = {
      entropy,
      definitions,
      refusedKey: (key: Uint8Array) => refusedAccess("write") ?? refusedKeys(grant, [key]),
      refusedTable: (table: WriteRequest["table"]) => refusedTable(grant, table),
    };
    const write = decidedWrite({
      versions,
      maxMutations: mostMutations(requests.length),
      maxBytes: mostBytes(requests.length),
      decide: (state) => {
        const plan = new WritePlan(state, context, versions);
        answers = [];
        for (const request of requests) {
          const answer = plan.add(request);
          answers.push(answer);
          if (isFailure(answer)) return answer;
        }
        return plan.mutations;
      },
    });
    const decoded = requests.reduce((sum, request) => sum + this.#bytesToDecode(request), 0);
    return { requests, write, bytes: memory + decoded, decoded, answers: () => answers };
  }

  /** Bytes of the document that a request changes, so that a small request which changes a large one counts as what it is. */
  #bytesToDecode(request: WriteRequest): number {
    const key = reading(() => keyOfDecoded(request, this.#parts.tables.definitionOf(request.table)));
    if (key === null || isFailure(key)) return 0;
    return this.#parts.database.readBytes([{ start: key, end: justAfter(key), limit: 1, reverse: false }]);
  }

  /** The results of each write's requests. When a write was refused, its last result says why. */
  async #commit(prepared: readonly Prepared[]): Promise<readonly (readonly DocumentResult[])[]> {
    const { room, commits } = this.#parts;
    const mutations = prepared.flatMap(({ requests }) =>
      requests.map(({ action }) => ({ type: action === "delete" ? "delete" : "set" }) as const),
    );
    const bytes = prepared.reduce((sum, one) => sum + one.bytes, 0);
    const noRoom = room.refusal({ mutations }, bytes);
    const unstorable = noRoom instanceof Promise ? await noRoom : noRoom;
    if (unstorable !== null) return prepared.map(({ requests }) => requests.map(() => unstorable));
    const outcomes = await commits.submitAll(prepared.map((one) => ({ write: one.write, bytes: one.bytes })));
    return prepared.map((one, index) => resultsOf(one, outcomes[index]));
  }
}

function resultsOf({ requests, answers }: Prepared, outcome: CommitOutcome | undefined): readonly DocumentResult[] {
  const decided = answers();
  if (outcome?.ok === true) {
    return decided.map((answer): DocumentResult => (isFailure(answer) ? answer : { ok: true, json: answer }));
  }
  const why = outcome !== undefined && "code" in outcome ? outcome : NOT_DECIDED;
  // When a request was refused, it is the last one that was decided. Otherwise the reason concerns all of them.
  const refused = decided.findIndex((answer) => isFailure(answer));
  return requests.map((_, index) => (refused === -1 || index === refused ? why : becauseOf(refused)));
}

/** The result of a request of an atomic batch of which another one was refused. */
function becauseOf(index: number): Failure {
  return failure("conflict", `Nothing was written, because requests[${index}] of this atomic batch was refused.`);
}

/** Why the caller may not make this request. null: it may. */
function refusedRequest(
  request: DocumentActionRequest,
  { grant, refusedAccess }: Asking,
  tables: readonly AppOrTable[] | undefined,
): Failure | null {
  for (const access of ACCESS[request.action]) {
    const refused = refusedAccess(access);
    if (refused !== null) return refused;
  }
  const { appId, tableId } = request.table;
  const isGiven =
    tables?.some((one) => one.appId === appId && (one.tableId === null || one.tableId === tableId)) ?? true;
  if (!isGiven) {
    return failure(
      "forbidden",
      `This key is not for the table ${JSON.stringify(tableId)} of app ${JSON.stringify(appId)}.`,
    );
  }
  return request.action === "search" ? refusedTable(grant, request.table) : null;
}

/** What each action needs. The answer of an increment shows what is stored. */
const ACCESS: Readonly<Record<DocumentActionRequest["action"], readonly Access[]>> = {
  get: ["read"],
  getMany: ["read"],
  search: ["read"],
  create: ["write"],
  update: ["write"],
  increment: ["read", "write"],
  delete: ["write"],
};

/** Whether the answer may have megabytes, or be made of as many. A search alone has limits of its own. */
function mayAnswerMuch({ isBatch, requests }: ParsedBody): boolean {
  return requests.some(
    ({ request }) => !isFailure(request) && (isBatch ? !isWrite(request) : request.action === "getMany"),
  );
}

/** About how many bytes a parsed JSON text takes in memory. */
function memoryOf(text: string): number {
  let members = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === COMMA || unit === BRACKET || unit === BRACE) members += 1;
  }
  return 2 * text.length + members * PARSED_MEMBER_BYTES;
}

const COMMA = 0x2c;
const BRACKET = 0x5b;
const BRACE = 0x7b;
