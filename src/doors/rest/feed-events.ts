/**
 * The change feed as events of the State Protocol (https://github.com/durable-streams/durable-streams): one event for each key that a
 * commit changed, the events of a commit together, and `reset` after those of a restore.
 */
import { operationOf } from "../../codec/feed.ts";
import { pathOfKey } from "../../codec/json-notation/key-path.ts";
import { partsOfKey } from "../../codec/json-notation/key-parts.ts";
import { type NotationOptions, textOfStored } from "../../codec/json-notation/stored-value.ts";
import type { FeedChange, FeedPage } from "../../core/feed.ts";
import { timeOfVersion, versionstampHex } from "../../core/versionstamp.ts";

export interface FeedForm {
  readonly notation: NotationOptions;
  /** The `type` of every event. null: the first part of the key that is a string. */
  readonly type: string | null;
}

/** For a key without a string in it. */
const NO_TYPE = "entry";

/** A JSON array, in pieces that are made when the caller takes them: the text of a commit may be many times as long as the commit. */
export function* textOfEvents({ commits, reset }: FeedPage, form: FeedForm): Generator<string, void, undefined> {
  let separator = "[";
  for (const { version, changes } of commits) {
    const txid = versionstampHex(version);
    const timestamp = new Date(timeOfVersion(version)).toISOString();
    for (const change of changes) {
      const headers = JSON.stringify({ operation: operationOf(change), txid, timestamp });
      yield `${separator}${textOfChange(change, form, headers)}`;
      separator = ",";
    }
  }
  if (reset !== null) {
    yield `${separator}${JSON.stringify({ headers: { control: "reset", offset: versionstampHex(reset) } })}`;
    separator = ",";
  }
  yield separator === "[" ? "[]" : "]";
}

function textOfChange({ key, set }: FeedChange, { notation, type }: FeedForm, headers: string): string {
  const named = `"type":${JSON.stringify(type ?? typeOf(key))},"key":${JSON.stringify(pathOfKey(key))}`;
  const value = set === null ? "" : `,"value":${textOfStored(set, notation).text}`;
  return `{${named}${value},"headers":${headers}}`;
}

function typeOf(key: Uint8Array): string {
  for (const part of partsOfKey(key)) if (typeof part === "string" && part !== "") return part;
  return NO_TYPE;
}
