/**
 * `POST /cdb`: one request, or a batch, of a program that has an API key. The answer to a request that can be read always has status 200;
 * a failure is in its body. A body that cannot be read gets 400 with the same body, and another method than POST 405.
 */
import type { DatabaseStub } from "../../contracts/database.ts";
import type { DocumentAnswer, DocumentSubject } from "../../contracts/document-commands.ts";
import type { Grant } from "../../contracts/grant.ts";
import { UNTOUCHED } from "../../contracts/untouched.ts";
import type { Clock } from "../../core/clock.ts";
import { MAX_DOCUMENTS_BODY_BYTES } from "../../core/document-limits.ts";
import type { Entropy } from "../../core/entropy.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import type { Timers } from "../../core/timers.ts";
import { jsonAnswer } from "../http/answers.ts";
import { answerOptions, foreignOriginOf, readableBy } from "../http/cors.ts";
import type { DataDoor } from "../http/data-door.ts";
import { readBody } from "../http/request-body.ts";
import { textOf } from "../http/text.ts";
import type { FailureOfThrown } from "../http/thrown.ts";
import type { AdmittedKey, ApiKeyGate } from "./api-key-gate.ts";
import { type Asker, errorText } from "./cdb-error.ts";

const PATH = "/cdb";

export interface CdbParts {
  readonly gate: ApiKeyGate;
  readonly database: (databaseId: string, grant: Grant) => DatabaseStub;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly entropy: Entropy;
  readonly failureOfThrown: FailureOfThrown;
}

/** What the request named, when it could not be read or was refused before. */
const NOTHING_READ: DocumentSubject = { appId: null, tableId: null, action: null };

export function cdbDoor(parts: CdbParts): DataDoor {
  return (request, path) => {
    if (path !== PATH) return undefined;
    const origin = foreignOriginOf(request);
    return answered(parts, request).then((answer) => readableBy(origin, answer));
  };
}

async function answered(parts: CdbParts, request: Request): Promise<Response> {
  const { clock, entropy } = parts;
  if (request.method === "OPTIONS") return answerOptions(request, ["POST"]);
  const { headers } = request;
  const asker: Asker = { headers, requestId: entropy.uuid(), date: new Date(clock.now()) };
  const refused = (why: Failure, answer: Readonly<Record<string, string>> = {}, status = 200) =>
    jsonAnswer(errorText(asker, NOTHING_READ, why), answer, status);
  if (request.method !== "POST") {
    const why = failure("unsupported", `${request.method} is not allowed here: ${PATH} takes POST.`);
    return refused(why, { allow: "POST, OPTIONS", [UNTOUCHED.header]: UNTOUCHED.value }, 405);
  }
  try {
    const { admitted, touched } = await parts.gate.admit(headers, headers.get("envid"), headers.get("keyid"));
    if (isFailure(admitted)) return refused(admitted, touched ? {} : { [UNTOUCHED.header]: UNTOUCHED.value });
    const bytes = await readBody(request, MAX_DOCUMENTS_BODY_BYTES, parts);
    const text = isFailure(bytes) ? bytes : textOf(request, bytes);
    if (typeof text !== "string") return refused(text, {}, 400);
    const answer = await carriedOut(parts, headers.get("envid") ?? "", admitted, text);
    return isFailure(answer) ? refused(answer) : jsonAnswer(textOfAnswer(asker, answer));
  } catch (error) {
    return refused(await parts.failureOfThrown(error, "database", "write"));
  }
}

function carriedOut(
  { database }: CdbParts,
  envId: string,
  { grant, tables }: AdmittedKey,
  text: string,
): Promise<DocumentAnswer | Failure> {
  const allowed = tables === undefined ? {} : { tables };
  return database(envId.toLowerCase(), grant).documents(grant, { text, ...allowed });
}

function textOfAnswer(asker: Asker, { isBatch, results }: DocumentAnswer): string {
  const texts = results.map(({ subject, result }) => (result.ok ? result.json : errorText(asker, subject, result)));
  return isBatch ? `[${texts.join(",")}]` : (texts[0] ?? "null");
}
