/** Answers to KV Connect clients: constant headers, and a sentence for every failure. */
import type { Failure } from "../../core/errors.ts";
import { sentenceResponse } from "../http/plain-text.ts";
import { failureSentence } from "./admission.ts";

/** Exactly this content type, because clients compare it as text. */
export const PROTOBUF_TYPE = "application/x-protobuf";
export const PROTOBUF_ANSWER: ResponseInit = { headers: new Headers({ "content-type": PROTOBUF_TYPE }) };
export const WATCH_ANSWER: ResponseInit = { headers: { "content-type": "application/octet-stream" } };
export const JSON_ANSWER: ResponseInit = {
  headers: { "content-type": "application/json", "cache-control": "no-store" },
};

export function failureResponse(refusal: Failure): Response {
  return sentenceResponse(failureSentence(refusal));
}
