/** Keys of /api in the notation (docs/json-notation.md): prefixes in requests, and keys that commits have changed. */
import { z } from "zod";
import { toHex } from "../../../core/bytes.ts";
import type { Failure } from "../../../core/errors.ts";
import { keyOfNotation, keyOfNotationText, textOfKeyNotation } from "../../../codec/json-notation/key-notation.ts";
import type { CommitChanges } from "../../../contracts/restore-commands.ts";

const PART = {
  anyOf: [
    { type: "string" },
    { type: "number" },
    { type: "boolean" },
    {
      type: "object",
      properties: {
        type: { enum: ["string", "number", "boolean", "bigint", "Uint8Array"] },
        value: { type: ["string", "number", "boolean"] },
        byteLength: { type: "number" },
      },
      required: ["type", "value"],
    },
  ],
};

const KEY = {
  type: "array",
  minItems: 1,
  items: PART,
  examples: [["users", 1]],
};

const WHICH = "Only this key and the keys that begin with all of its parts";

/** `prefixOf` reads it. Its messages are those of the notation. */
export const prefix = z
  .unknown()
  .optional()
  .meta({ ...KEY, type: ["array", "null"], description: `${WHICH}. Without it, or with null: every key.` });

export const prefixInQuery = z
  .string()
  .optional()
  .meta({ description: `${WHICH}, as JSON: ["users",1].` });

export const keysInQuery = z
  .enum(["true", "false"])
  .default("false")
  .meta({ description: "Whether each commit is to say which keys it has changed." });

export const changes = z
  .object({
    keys: z.array(z.object({ key: z.array(z.unknown()).meta(KEY), change: z.enum(["set", "delete"]) })).meta({
      description: "The first that it changed, each once.",
    }),
    more: z.number().meta({ description: "How many changes are left out." }),
  })
  .optional()
  .meta({ description: "Of a commit, with `keys=true`." });

export function prefixOf(json: unknown): PrefixOrFailure {
  return json === undefined || json === null ? NO_PREFIX : encodedInHex(keyOfNotation(json, "In the body, prefix"));
}

export function prefixOfText(text: string | undefined): PrefixOrFailure {
  return text === undefined ? NO_PREFIX : encodedInHex(keyOfNotationText(text, "In the query, prefix"));
}

export function changesJson({ keys, more }: CommitChanges) {
  return {
    keys: keys.map(({ key, change }) => ({ key: JSON.parse(textOfKeyNotation(key)) as unknown, change })),
    more,
  };
}

type PrefixOrFailure = { readonly ok: true; readonly prefix: string | null } | Failure;

const NO_PREFIX = { ok: true, prefix: null } as const;

function encodedInHex(key: ReturnType<typeof keyOfNotation>): PrefixOrFailure {
  return key.ok ? { ok: true, prefix: toHex(key.bytes) } : key;
}
