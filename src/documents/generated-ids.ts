/**
 * The ids that a create asks the database to make: `CDB:nanoId`, 21 random characters; `CDB:timeId`, 13 digits of milliseconds since 1970
 * and 10 random characters; `CDB:microsecondId`, a number of 16 digits, of which 13 are milliseconds and 3 a counter.
 *
 * Times are those of versions, not of the clock: versions have the same form, and never go back, whatever the clock does. A version is
 * taken once, so a `microsecondId` is above every one that was made before.
 */
import type { Entropy } from "../core/entropy.ts";
import { asVersion, timeOfVersion, type Version } from "../core/versionstamp.ts";
import type { IdType } from "../contracts/document-commands.ts";
import type { DocumentId } from "./ids.ts";

export type GeneratedId = "CDB:nanoId" | "CDB:timeId" | "CDB:microsecondId";

/** What each generated id is. */
export const GENERATED_IDS: ReadonlyMap<string, IdType> = new Map<GeneratedId, IdType>([
  ["CDB:nanoId", "string"],
  ["CDB:timeId", "string"],
  ["CDB:microsecondId", "integer"],
]);

/** 64 characters, so that each stands for 6 random bits. All may stand in a URL as they are. */
const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz-";

const NANO_ID_CHARACTERS = 21;
const TIME_ID_CHARACTERS = 10;

/** Makes the ids of one write. */
export class IdGenerator {
  readonly #entropy: Entropy;
  #next: Version;

  /** `versions`: how many the write takes, one for each `microsecondId` at the least. `last`: the last of them. */
  constructor(entropy: Entropy, last: Version, versions: number) {
    this.#entropy = entropy;
    this.#next = asVersion(last - versions + 1);
  }

  make(kind: GeneratedId): DocumentId {
    switch (kind) {
      case "CDB:nanoId":
        return this.#random(NANO_ID_CHARACTERS);
      case "CDB:timeId":
        return `${timeOfVersion(this.#next)}${this.#random(TIME_ID_CHARACTERS)}`;
      case "CDB:microsecondId": {
        const id = this.#next;
        this.#next = asVersion(id + 1);
        return id;
      }
    }
  }

  #random(characters: number): string {
    let text = "";
    for (const byte of this.#entropy.bytes(characters)) text += ALPHABET.charAt(byte & 0x3f);
    return text;
  }
}
