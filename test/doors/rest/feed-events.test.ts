/** Pages of the feed as events of the State Protocol. */
import { expect, test } from "vitest";
import { Encoding } from "../../../src/core/operations.ts";
import { asVersion } from "../../../src/core/versionstamp.ts";
import { textOfEvents } from "../../../src/doors/rest/feed-events.ts";
import { key } from "../../support/workerd/engine.ts";

const form = { notation: { plain: true }, type: null };
const value = { value: Uint8Array.of(0xff, 0x0f, 0x49, 2), encoding: Encoding.v8, expiresAt: null };
const first = asVersion(1_800_000_000_000_000);
const reset = asVersion(1_800_000_000_000_001);

test("a restore is a reset behind the commits before it, at the offset from which to go on (F8, H30)", () => {
  const commits = [
    {
      version: first,
      changes: [
        { key: key("users", 1), set: value, isNew: true },
        { key: key(new Uint8Array([1])), set: null, isNew: false },
      ],
    },
  ];
  const text = [...textOfEvents({ commits, reset, upTo: reset, isLast: true }, form)].join("");
  const headers = { txid: "00066517289880000000", timestamp: "2027-01-15T08:00:00.000Z" };
  expect(JSON.parse(text)).toEqual([
    { type: "users", key: "users/~n1", value: 1, headers: { operation: "insert", ...headers } },
    { type: "entry", key: "~uAQ", headers: { operation: "delete", ...headers } },
    { headers: { control: "reset", offset: "00066517289880010000" } },
  ]);
  const only = [...textOfEvents({ commits: [], reset, upTo: reset, isLast: true }, form)].join("");
  expect(JSON.parse(only)).toEqual([{ headers: { control: "reset", offset: "00066517289880010000" } }]);
  expect([...textOfEvents({ commits: [], reset: null, upTo: reset, isLast: true }, form)].join("")).toBe("[]");
});
