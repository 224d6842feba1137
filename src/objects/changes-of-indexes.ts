/**
 * How much a write changes in the indexes of documents, estimated before it is applied. A document of some kilobytes may have five hundred
 * values, each with a row of its own. So a group of such writes must be smaller than one of other entries (`commit-queue.ts`).
 */
import type { DocumentIndex } from "../documents/index/document-index.ts";
import { decisionOf } from "../engine/decided-write.ts";
import type { SubmittedWrite } from "./commit-queue.ts";

/** As many bytes of a stored document, or of the memory of a request for documents, take as long as one change of an entry: 20 microseconds. */
const VALUE_BYTES_PER_CHANGE = 16;
const REQUEST_BYTES_PER_CHANGE = 64;

/** What a document that is deleted or overwritten leaves is not known before. */
const CHANGES_PER_DOCUMENT = 20;

export function changesOfIndexes(
  index: Pick<DocumentIndex, "hasTables" | "follows">,
  { write, bytes }: Pick<SubmittedWrite, "write" | "bytes">,
): number {
  if (!index.hasTables) return 0;
  if (decisionOf(write) !== undefined) return Math.ceil(bytes / REQUEST_BYTES_PER_CHANGE);
  return write.mutations.reduce((sum, mutation) => {
    if (!index.follows(mutation.key)) return sum;
    const values = mutation.type === "set" ? Math.ceil(mutation.value.length / VALUE_BYTES_PER_CHANGE) : 0;
    return sum + CHANGES_PER_DOCUMENT + values;
  }, 0);
}
