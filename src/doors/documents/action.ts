/** The actions on documents with an ordinary token: `POST tables/{app}/{table}:{action}`, and `POST tables:batch` for many. */
import { objectOf, reading } from "../../codec/json-notation/members.ts";
import type { DocumentAnswer, DocumentResult } from "../../contracts/document-commands.ts";
import { MAX_DOCUMENTS_BODY_BYTES } from "../../core/document-limits.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { jsonAnswer } from "../http/answers.ts";
import type { Operation, RestCall } from "../http/call.ts";
import { problemAnswer } from "../http/problem.ts";
import { readBody, readJsonBody } from "../http/request-body.ts";
import { textOf } from "../http/text.ts";
import { tableOfCall } from "./table-path.ts";

const EXAMPLE = '{"ids":{"id":"a"}}';

function action(name: string, access: "read" | "write", past?: true): Operation {
  return {
    access,
    query: [],
    ...(past && { past }),
    async answer(call) {
      const table = tableOfCall(call);
      if (isFailure(table)) return table;
      const body = await readJsonBody(call.request, MAX_DOCUMENTS_BODY_BYTES, call);
      if (isFailure(body)) return body;
      const members = reading(() => objectOf(body.value ?? {}, "The body", EXAMPLE));
      if (isFailure(members)) return members;
      const done = await documents(call, JSON.stringify({ ...members, ...table, action: name }));
      if (isFailure(done)) return done;
      const [only] = done.results;
      if (only === undefined) return failure("internal", "The database answered nothing.");
      return only.result.ok ? jsonAnswer(only.result.json) : only.result;
    },
  };
}

export const ACTIONS: Readonly<Record<string, Operation>> = {
  get: action("get", "read", true),
  getMany: action("getMany", "read", true),
  search: action("search", "read"),
  create: action("create", "write"),
  update: action("update", "write"),
  delete: action("delete", "write"),
};

/** Takes `{"requests":[{appId, tableId, action, …}], "atomic"?: true}`. The object looks which access each request needs. */
export const batch: Operation = {
  access: "read or write",
  query: [],
  async answer(call) {
    const bytes = await readBody(call.request, MAX_DOCUMENTS_BODY_BYTES, call);
    if (isFailure(bytes)) return bytes;
    const text = textOf(call.request, bytes);
    if (typeof text !== "string") return text;
    const done = await documents(call, text);
    if (isFailure(done)) return done;
    if (!done.isBatch) return failure("invalid", 'The body must be a batch, like {"requests":[…]}.');
    return jsonAnswer(`[${done.results.map(({ result }) => textOfResult(result)).join(",")}]`);
  },
};

function documents({ stub, grant }: RestCall, text: string): Promise<DocumentAnswer | Failure> {
  return stub.documents(grant, { text });
}

function textOfResult(result: DocumentResult): string {
  return result.ok ? result.json : problemAnswer(result).text;
}
