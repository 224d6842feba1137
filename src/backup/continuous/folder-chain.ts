/** The hash chain of a folder: each object carries the SHA-256 of the one before it. */
import { fromHex } from "../../core/bytes.ts";
import { NO_OBJECT_BEFORE } from "../format/fields.ts";
import type { FolderState } from "../format/manifest.ts";
import { generationPrefix, type GenerationPlace } from "../format/object-names.ts";
import { sha256Hex } from "../format/sha256.ts";
import type { StoredObject } from "./generations.ts";

/** The hash that the next object of the folder has to carry. */
export function previousOf({ head }: Pick<FolderState, "head">): Uint8Array {
  return head === null ? NO_OBJECT_BEFORE : fromHex(head.sha256);
}

export function storedObject(place: GenerationPlace, name: string, bytes: Uint8Array): StoredObject {
  return { object: name.slice(generationPrefix(place).length), sha256: sha256Hex(bytes), bytes: bytes.length };
}
