/** Requests that are wrong, at a real object: each is refused in a sentence, and nothing is written. */
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { MAX_VALUE_BYTES } from "../../src/core/limits.ts";
import { DocumentDatabase, MAX, MIN, ORDERS } from "../support/workerd/documents.ts";

let database: DocumentDatabase;
beforeAll(async () => {
  database = await DocumentDatabase.make();
  await database.create({ id: "there" }, { n: 1 });
});

const id = { id: "x" };
const all = { ids: { id: MAX }, endIds: { id: MIN } };
const list = (...conditionList: unknown[]) => ({ condition: { conditionList } });
const member = { column: "n", symbol: "=", value: 1 };

/** The request, and what is said of it. */
const wrong: [object, string][] = [
  [{ action: "drop" }, 'invalid: action is "drop"; it must be one of get, getMany, create, update, delete, search.'],
  [{}, "invalid: action is missing; it must be one of get, getMany, create, update, delete, search."],
  [{ action: 5 }, "invalid: action is 5; it must be one of"],
  ...["get", "create", "update", "delete", "getMany"].flatMap((action): [object, string][] => [
    [{ action, columns: {} }, 'invalid: ids is missing; it must be an object like {"orderId":"a"}.'],
    [{ action, columns: {}, ids: [] }, "invalid: ids is an array; it must be an object like"],
    [{ action, columns: {}, ids: "x" }, 'invalid: ids is "x"; it must be an object like'],
    [
      { action, columns: {}, ids: {} },
      'invalid: ids is empty; it must name at least one id, for example {"orderId":"a"}.',
    ],
    [{ action, columns: {}, ids: { a: 1, b: 1, c: 1, d: 1, e: 1 } }, "limit: ids has 5 members; the limit is 4."],
    [
      { action, columns: {}, ids: { id: 1.5 } },
      "invalid: ids.id is 1.5; an id is a string, or an integer from -(2^53-1) to 2^53-1.",
    ],
    [{ action, columns: {}, ids: { id: 2 ** 53 } }, "invalid: ids.id is 9007199254740992; an id is"],
    [{ action, columns: {}, ids: { id: null } }, "invalid: ids.id is null; an id is"],
    [{ action, columns: {}, ids: { id: ["a"] } }, "invalid: ids.id is an array; an id is"],
    [{ action, columns: {}, ids: { id: true } }, "invalid: ids.id is true; an id is"],
    [
      { action, columns: {}, ids: { id: "\ud800" } },
      "invalid: ids.id has half of a surrogate pair, which is no character.",
    ],
    [
      { action, columns: {}, ids: { "1": "x" } },
      'invalid: the name of a member of ids is "1"; it must not be a number',
    ],
    [
      { action, columns: {}, ids: { "": "x" } },
      'invalid: the name of a member of ids is ""; it must be the name of a column',
    ],
    [
      { action, columns: {}, ids: { ["x".repeat(256)]: "x" } },
      "limit: the name of a member of ids has 256 bytes; the limit is 255.",
    ],
  ]),
  ...["get", "create", "update", "delete"].map((action): [object, string] => [
    { action, columns: {}, ids: { id: "x".repeat(2040) } },
    "limit: appId, tableId and ids make a key of 2056 bytes; the limit is 2048.",
  ]),
  [{ action: "create", ids: { id: "é".repeat(513) }, columns: {} }, "limit: ids.id has 1026 bytes; the limit is 1024."],
  [{ action: "update", ids: { id: "é".repeat(513) }, columns: {} }, "limit: ids.id has 1026 bytes; the limit is 1024."],
  ...["create", "update"].flatMap((action): [object, string][] => [
    [{ action, ids: id }, 'invalid: columns is missing; it must be an object like {"price":5}.'],
    [{ action, ids: id, columns: null }, "invalid: columns is null; it must be an object like"],
    [{ action, ids: id, columns: [1] }, "invalid: columns is an array; it must be an object like"],
    [
      { action, ids: id, columns: { "": 1 } },
      'invalid: the name of a member of columns is ""; it must be the name of a column',
    ],
    [
      { action, ids: id, columns: { ["n".repeat(256)]: 1 } },
      "limit: the name of a member of columns has 256 bytes; the limit is 255.",
    ],
    [
      { action, ids: id, columns: { id: 1 } },
      'invalid: columns["id"] is an id of this table; an id stands in ids, not in columns.',
    ],
    [
      { action, ids: id, columns: Object.fromEntries(Array.from({ length: 1025 }, (_, i) => [`c${i}`, 1])) },
      "limit: columns has 1025 members; the limit is 1024.",
    ],
    [
      { action, ids: id, columns: { text: "x".repeat(MAX_VALUE_BYTES) } },
      `limit: The document has ${MAX_VALUE_BYTES + 15} bytes as it is stored; the limit is ${MAX_VALUE_BYTES}.`,
    ],
    [{ action, ids: id, columns: { deep: deep(600) } }, "limit: columns: "],
  ]),
  [
    { action: "update", ids: id, columns: {}, updateType: "replace" },
    'invalid: updateType is "replace"; it must be "increment", or left out to set the columns.',
  ],
  [{ action: "update", ids: id, columns: {}, updateType: 1 }, "invalid: updateType is 1; it must be"],
  [
    { action: "update", ids: id, columns: { n: 1.5 }, updateType: "increment" },
    'invalid: columns["n"] is 1.5; it must be an integer from -(2^53-1) to 2^53-1.',
  ],
  ...["create", "update", "delete"].flatMap((action): [object, string][] =>
    (
      [
        [{ condition: 5 }, 'invalid: condition is 5; it must be an object like {"type":"notExist"}.'],
        [{ condition: [] }, "invalid: condition is an array; it must be an object"],
        [
          { condition: { type: "maybe" } },
          'invalid: condition.type is "maybe"; it must be one of ignore, exist, notExist.',
        ],
        [{ condition: { conditionList: {} } }, "invalid: condition.conditionList is an object; it must be an array."],
        [
          list(5),
          'invalid: condition.conditionList[0] is 5; it must be an object like {"column":"price","symbol":"<","value":5}.',
        ],
        [
          list({ ...member, symbol: "==" }),
          'invalid: condition.conditionList[0].symbol is "=="; it must be one of =, !=, >, >=, <, <=.',
        ],
        [
          list({ column: "n", symbol: "=" }),
          "invalid: condition.conditionList[0].value is missing; it must be a string, a number, true or false.",
        ],
        [list({ ...member, value: null }), "invalid: condition.conditionList[0].value is null; it must be"],
        [list({ ...member, value: [1] }), "invalid: condition.conditionList[0].value is an array; it must be"],
        [
          list({ ...member, value: "x".repeat(65_537) }),
          "limit: condition.conditionList[0].value has 65537 bytes; the limit is 65536.",
        ],
        [
          list({ symbol: "=", value: 1 }),
          "invalid: condition.conditionList[0].column is missing; it must be the name of a column",
        ],
        [
          list({ ...member, passIfMissing: "yes" }),
          'invalid: condition.conditionList[0].passIfMissing is "yes"; it must be true or false.',
        ],
        [
          list(...Array.from({ length: 11 }, () => member)),
          "limit: condition.conditionList has 11 members; the limit is 10.",
        ],
        [
          { condition: { conditionLogical: "xor" } },
          'invalid: condition.conditionLogical is "xor"; it must be one of and, or, not.',
        ],
        [
          { condition: { conditionList: [member, member], conditionLogical: "not" } },
          'invalid: condition.conditionList has 2 members; with conditionLogical "not" it must have exactly one.',
        ],
        [
          { condition: { conditionList: [], conditionLogical: "not" } },
          "invalid: condition.conditionList has 0 members; with",
        ],
        [{ condition: { conditionLogical: "not" } }, "invalid: condition.conditionList has 0 members; with"],
      ] as const
    ).map(([condition, said]) => [{ action, ids: id, columns: {}, ...condition }, said]),
  ),
  [{ action: "get", ids: id, getColumns: "n" }, 'invalid: getColumns is "n"; it must be an array.'],
  [{ action: "get", ids: id, getColumns: [1] }, "invalid: getColumns[0] is 1; it must be the name of a column"],
  [
    { action: "get", ids: id, getColumns: Array.from({ length: 1025 }, () => "n") },
    "limit: getColumns has 1025 members; the limit is 1024.",
  ],
  [{ action: "getMany", ids: id }, "invalid: endIds is missing; it must be an object like"],
  [{ action: "getMany", ...all, orderType: "up" }, 'invalid: orderType is "up"; it must be "asc" or "desc".'],
  [{ action: "getMany", ...all, rowsLimit: 0 }, "invalid: rowsLimit is 0; it must be an integer from 1 to 5000."],
  [{ action: "getMany", ...all, rowsLimit: 1.5 }, "invalid: rowsLimit is 1.5; it must be"],
  [{ action: "getMany", ...all, rowsLimit: "5" }, 'invalid: rowsLimit is "5"; it must be'],
  [{ action: "getMany", ...all, rowsLimit: 5001 }, "limit: rowsLimit is 5001; the limit is 5000."],
  [{ action: "getMany", ...all, filter: 5 }, "invalid: filter is 5; it must be an object like"],
  [{ action: "getMany", ...all, filter: [5] }, "invalid: filter.conditionList[0] is 5; it must be an object like"],
  [
    { action: "getMany", ...all, filter: { conditionLogical: 1 } },
    "invalid: filter.conditionLogical is 1; it must be one of and, or, not.",
  ],
  [
    { action: "getMany", ids: { id: "CDB:nanoId" }, endIds: { id: MIN } },
    'invalid: ids.id is "CDB:nanoId"; ids that begin with CDB: are reserved',
  ],
  [
    { action: "getMany", ids: { id: "CDB:place:?" }, endIds: { id: MIN } },
    'invalid: ids.id is "CDB:place:?"; ids that begin with CDB: are reserved',
  ],
  [
    { action: "getMany", ids: { id: "x".repeat(2040) }, endIds: { id: MIN } },
    "limit: appId, tableId and ids make a key of 2056 bytes; the limit is 2048.",
  ],
];

/** Arrays in arrays. */
function deep(levels: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = [value];
  return value;
}

test("each field of each action with a wrong type, missing, too long or out of range (D23)", async () => {
  const others: unknown[] = [];
  for (const [request, said] of wrong) {
    const refused = await database.ask(request);
    const isSaid = typeof refused === "string" && refused.startsWith(said) && /[^.]\.$/.test(refused);
    if (!isSaid || refused.length > 1_000) others.push([JSON.stringify(request).slice(0, 200), refused, said]);
  }
  expect(others).toEqual([]);
  expect(await database.count(["shop"])).toBe(1);
  expect(await database.count(["CDB:tables"])).toBe(1);
});

test("numbers beyond the range, which the parser would read as Infinity (D23)", async () => {
  for (const columns of ['{"n":1e999}', '{"a":{"b":[1,-1e999]}}']) {
    const text = `{"appId":"shop","tableId":"orders","action":"create","ids":{"id":"x"},"columns":${columns}}`;
    expect(await database.send(text)).toMatch(
      /^invalid: columns\["."\] has a number that is beyond the range of a number\.$/,
    );
  }
});

test("unknown members are ignored (D23)", async () => {
  const more = { engineIndex: "x", columnsToGet: 5, condition: 5, filter: 5, updateType: 5, requests: undefined };
  expect(await database.get({ id: "there" }, more)).toEqual({ ids: { id: "there" }, columns: { n: 1 } });
});

describe("a body (D23)", () => {
  const bodies: [string, string, string][] = [
    ["no JSON", "{", "invalid: The body of the request is not JSON"],
    ["no object", "5", "invalid: The body of the request is 5; it must be an object like"],
    ["an array", "[]", "invalid: The body of the request is an array; it must be an object like"],
    ["null", "null", "invalid: The body of the request is null; it must be an object like"],
    ["deep JSON", "[".repeat(100_000), "limit: The body of the request is nested deeper than"],
    ["requests of another type", '{"requests":5}', "invalid: requests is 5; it must be an array."],
    ["no requests", '{"requests":[]}', "invalid: requests is empty; a batch has at least one request."],
    [
      "101 requests",
      JSON.stringify({ requests: Array.from({ length: 101 }, () => 1) }),
      "limit: requests has 101 members; the limit is 100.",
    ],
    [
      "atomic of another type",
      '{"requests":[1],"atomic":"yes"}',
      'invalid: body.atomic is "yes"; it must be true or false.',
    ],
  ];
  test.each(bodies)("that is %s", async (_what, text, said) => {
    expect(await database.send(text)).toMatch(said);
  });

  test("whose requests are no objects has a failure for each", async () => {
    const answers = await database.send('{"requests":[5,null,[]]}');
    expect(answers).toEqual(
      ["5", "null", "an array"].map((what) =>
        expect.stringContaining(`The request is ${what}; it must be an object like`),
      ),
    );
  });
});

/** Values that a member may wrongly or rightly have. */
const anything = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    0,
    -1,
    1.5,
    1e300,
    5000,
    "",
    "x",
    "desc",
    "exist",
    "and",
    "increment",
    MIN,
    MAX,
    "CDB:nanoId",
    "CDB:microsecondId",
    "CDB:place:_w",
    [],
    {},
    [member],
    { id: "x" },
    { id: MAX },
    { id: MIN },
    { id: 1 },
    { conditionList: [member] },
    { type: "exist" },
    ["n"],
  ),
  fc.jsonValue({ maxDepth: 3 }),
);
const members = [
  "ids",
  "endIds",
  "columns",
  "condition",
  "filter",
  "getColumns",
  "rowsLimit",
  "orderType",
  "updateType",
  "appId",
  "tableId",
];
const request = fc
  .tuple(
    fc.constantFrom("get", "getMany", "create", "update", "delete", "search", "drop"),
    fc.dictionary(fc.constantFrom(...members), anything, { maxKeys: 6 }),
    fc.boolean(),
  )
  .map(([action, given, isComplete]) => ({
    ...(isComplete ? { ...ORDERS, ids: { id: "x" }, endIds: { id: "x" }, columns: {} } : {}),
    action,
    ...given,
  }));

/** Once with the same cases in each run, and once with others. */
const seeds = [{ seed: 20_261_127 }, {}];

test.each(seeds)("any JSON is answered or refused in a sentence; the object goes on, %o (D23)", async (seed) => {
  const own = await DocumentDatabase.make();
  const wrongly: unknown[] = [];
  await fc.assert(
    fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 40 }), fc.boolean(), async (requests, atomic) => {
      const answers = await own.send(JSON.stringify({ requests, atomic }));
      wrongly.push(...answers.filter((answer: unknown) => typeof answer === "string" && !isSentence(answer)));
      expect(answers).toHaveLength(requests.length);
    }),
    { numRuns: 40, ...seed },
  );
  expect(wrongly).toEqual([]);
  expect(await own.create({ id: "still" }, {}, { tableId: "there" })).toEqual({ ids: { id: "still" } });
});

test.each(seeds)("any text is answered or refused in a sentence, %o (D23)", async (seed) => {
  const own = await DocumentDatabase.make();
  const good = JSON.stringify({
    ...ORDERS,
    action: "update",
    ids: { id: "x" },
    columns: { n: 1 },
    condition: { conditionList: [member] },
  });
  const piece = fc.oneof(
    fc.string({ maxLength: 5 }),
    fc.constantFrom('"', "{", "}", "[", "]", ",", ":", "\\", "null", "1e999", "\ud800"),
  );
  const cut = fc.tuple(fc.nat(good.length), fc.nat(8), piece);
  const wrongly: unknown[] = [];
  await fc.assert(
    fc.asyncProperty(fc.array(cut, { minLength: 1, maxLength: 4 }), async (cuts) => {
      const text = cuts.reduce((sum, [at, removed, added]) => sum.slice(0, at) + added + sum.slice(at + removed), good);
      const answer = await own.send(text);
      if (typeof answer === "string" && !isSentence(answer)) wrongly.push([text, answer]);
    }),
    { numRuns: 300, ...seed },
  );
  expect(wrongly).toEqual([]);
});

/** Whether a failure is one that a request may cause, in words of a bounded length. */
function isSentence(said: string): boolean {
  return /^[a-z-]+: [^]*\.$/.test(said) && !/^(internal|unavailable)/.test(said) && said.length < 2_000;
}
