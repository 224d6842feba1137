/**
 * Why an archive cannot be read. The message says what is wrong and at which byte of the file, and tells a wrong key from a damaged file:
 * they need different help.
 */
import { failure, type Failure } from "../../core/errors.ts";

export type ArchiveProblemKind =
  /** The file does not begin as an archive does. */
  | "not-an-archive"
  /** A later version of Cairn wrote it. */
  | "newer"
  /** The file was altered, cut short, or put together from parts of others. */
  | "damaged"
  /** The file is encrypted with a key that was not given. */
  | "no-key"
  /** A key with the right id was given, and it is another key. */
  | "wrong-key";

export interface ArchiveProblem extends Failure {
  readonly problem: ArchiveProblemKind;
  /** The byte of the file at which the damaged part begins. */
  readonly offset: number;
}

export function archiveProblem(problem: ArchiveProblemKind, message: string, offset = 0): ArchiveProblem {
  return { ...failure("invalid", message), problem, offset };
}

/** Thrown while a chunk is decoded. Its message is the rest of a sentence that begins with the chunk. It never leaves this folder. */
export class ChunkDamage extends Error {
  override readonly name = "ChunkDamage";
}
