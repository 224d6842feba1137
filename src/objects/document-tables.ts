/** Carries out commands for the definitions of tables. The rules are in `src/documents/tables.ts`. */
import type { TableAnswer, TableCommand } from "../contracts/document-commands.ts";
import { admittedRange, type Grant, refusedRange } from "../contracts/grant.ts";
import { rangeOfPrefix } from "../codec/key-prefix.ts";
import { compareBytes } from "../core/bytes.ts";
import { type Failure, failure, isFailure } from "../core/errors.ts";
import { MAX_DEFINITION_BYTES } from "../core/document-limits.ts";
import { MAX_KEY_BYTES } from "../core/limits.ts";
import type { Mutation } from "../core/operations.ts";
import {
  definitionKey,
  definitionOfJson,
  type TableDefinition,
  type TableName,
  tablePrefix,
} from "../documents/definition.ts";
import type { Definitions } from "../documents/definitions.ts";
import {
  type IndexStateOf,
  listTables,
  namedTable,
  noSuchTable,
  planDefinition,
  tableInfo,
} from "../documents/tables.ts";
import type { Database } from "../engine/database.ts";
import { type Decision, decidedWrite } from "../engine/decided-write.ts";
import type { CommitQueue } from "./commit-queue.ts";
import type { Room } from "./room.ts";

export interface DocumentTablesParts {
  readonly database: Pick<Database, "readPage" | "entry">;
  readonly commits: Pick<CommitQueue, "submit">;
  readonly room: Pick<Room, "refusal">;
  readonly definitions: Definitions;
  readonly indexStateOf: IndexStateOf;
}

/** Of a definition's key and value. */
const MAX_ENTRY_BYTES = MAX_KEY_BYTES + MAX_DEFINITION_BYTES;

export class DocumentTables {
  readonly #parts: DocumentTablesParts;

  constructor(parts: DocumentTablesParts) {
    this.#parts = parts;
  }

  /** The table's definition as it is now. null: there is none. */
  definitionOf(table: TableName): TableDefinition | null {
    const key = definitionKey(table);
    return this.#parts.definitions.decode(key, this.#parts.database.entry(key));
  }

  /** The caller has checked that the grant allows the access that the command needs. */
  async run(grant: Grant, command: TableCommand): Promise<TableAnswer | Failure> {
    const { database, indexStateOf } = this.#parts;
    if (command.command === "list") {
      return listTables(command, database, (table) => isPartlyAdmitted(grant, table), indexStateOf);
    }
    const table = namedTable(command);
    if (isFailure(table)) return table;
    switch (command.command) {
      case "get": {
        const definition = isPartlyAdmitted(grant, table) ? this.definitionOf(table) : null;
        return definition === null ? noSuchTable(table) : this.#answer(table, definition, false);
      }
      case "define":
        return refusedTable(grant, table) ?? this.#define(table, definitionOfJson(command.definition));
      case "delete":
        return refusedTable(grant, table) ?? this.#delete(table);
    }
  }

  async #define(table: TableName, wanted: TableDefinition | Failure): Promise<TableAnswer | Failure> {
    if (isFailure(wanted)) return wanted;
    let isNew = false;
    const refused = await this.#commit("set", (state) => {
      const plan = planDefinition(table, wanted, state);
      if (isFailure(plan)) return plan;
      ({ isNew } = plan);
      return plan.mutations;
    });
    return refused ?? this.#answer(table, wanted, isNew);
  }

  async #delete(table: TableName): Promise<TableAnswer | Failure> {
    const key = definitionKey(table);
    const refused = await this.#commit("delete", (state) =>
      state.get(key) === null ? noSuchTable(table) : [{ type: "delete", key }],
    );
    return refused ?? { ok: true, kind: "deleted" };
  }

  /** Returns why nothing was written. null: it was. */
  async #commit(type: Mutation["type"], decide: Decision["decide"]): Promise<Failure | null> {
    const { room, commits } = this.#parts;
    const noRoom = await room.refusal({ mutations: [{ type }] }, MAX_ENTRY_BYTES);
    if (noRoom !== null) return noRoom;
    const write = decidedWrite({ versions: 1, maxMutations: 1, maxBytes: MAX_ENTRY_BYTES, decide });
    const outcome = await commits.submit({ write, bytes: MAX_ENTRY_BYTES });
    return "code" in outcome ? outcome : null;
  }

  #answer(table: TableName, definition: TableDefinition, isNew: boolean): TableAnswer {
    return { ok: true, kind: "table", table: tableInfo(table, definition, this.#parts.indexStateOf), isNew };
  }
}

/** Whether the grant covers any key of the table. */
function isPartlyAdmitted(grant: Grant, table: TableName): boolean {
  const { start, end } = admittedRange(grant, rangeOfPrefix(tablePrefix(table)));
  return compareBytes(start, end) < 0;
}

/** Why the grant does not cover the whole table. null: it does. */
export function refusedTable(grant: Grant, table: TableName): Failure | null {
  if (refusedRange(grant, rangeOfPrefix(tablePrefix(table))) === null) return null;
  const { appId, tableId } = table;
  return failure(
    "forbidden",
    `The token's key prefix does not cover the whole table ${JSON.stringify(tableId)} of app ${JSON.stringify(appId)}, which this request needs.`,
  );
}
