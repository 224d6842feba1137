/**
 * A program that works with records as published templates do: a coupon index, a record that is renewed when it is old, a lock that renews
 * itself. It uses only `kvs`, so it runs in every runtime. `prefix`: of the keys that it may use.
 */

/** The status of what a call throws, and of one that does not throw. */
async function statusOf(call) {
  try {
    await call();
    return 200;
  } catch (error) {
    return error.status ?? String(error);
  }
}

/** @param {import("../../../src/client/kvs.ts").Kvs} kvs */
export async function run(kvs, prefix) {
  const key = (name) => `${prefix} ${name}`;
  const results = {};

  // The index of the coupon that is given out next.
  const current_coupon = key("current_coupon");
  await kvs.write({ key: current_coupon, value: { index: 3 } });
  const v = await kvs.get({ key: current_coupon });
  await kvs.write({ key: current_coupon, value: { index: v[current_coupon].value.index + 1 } });
  results.coupon = (await kvs.get({ key: current_coupon }))[current_coupon].value.index;

  // A record is renewed only if it is older than five minutes.
  const fiveMinutesAgo = Date.now() - 5 * 60 * 1000;
  const renew = (value) => kvs.checkAndWrite({ key: key("weather"), value, operator: "<", unixtimeMs: fiveMinutesAgo });
  results.renewed = [await statusOf(() => renew({ sun: 1 })), await statusOf(() => renew({ sun: 2 }))];
  results.weather = (await kvs.get({ key: key("weather") }))[key("weather")].value;

  // A lock: the one who writes it has it, and renews it while it works. It ends by itself.
  const lock = (owner, olderThan) =>
    kvs.checkAndWrite({ key: key("lock"), value: { owner }, operator: "<", unixtimeMs: olderThan, minutesToExpire: 1 });
  const taken = await Promise.all(Array.from({ length: 5 }, (_, n) => statusOf(() => lock(n, fiveMinutesAgo))));
  results.lock = taken.toSorted();
  const { owner } = (await kvs.get({ key: key("lock") }))[key("lock")].value;
  results.owner = taken[owner];
  results.renewedLock = await statusOf(() => kvs.write({ key: key("lock"), value: { owner }, minutesToExpire: 1 }));
  results.held = await statusOf(() => lock("somebody", fiveMinutesAgo));
  await kvs.delete({ key: key("lock") });
  results.free = await statusOf(() => lock("somebody", fiveMinutesAgo));

  // Several at once, pages, a namespace that is emptied.
  const namespace = `${prefix} shop`;
  for (const name of ["a", "b", ".", "..", "a/b"]) await kvs.write({ key: name, value: { name }, namespace });
  const both = await kvs.get({ keys: ["a", "none", ".."], namespace });
  results.several = Object.entries(both).map(([name, { value }]) => [name, value.name]);
  const found = [];
  let startCursor = null;
  do {
    const page = await kvs.list({ pageSize: 2, startCursor, namespace });
    found.push(...Object.keys(page.item));
    startCursor = page.endCursor;
  } while (startCursor !== null);
  results.listed = found;
  results.bounded = Object.keys((await kvs.list({ startKey: "..", stopKey: "b", namespace })).item);
  await kvs.clear({ namespace });
  results.cleared = (await kvs.list({ namespace })).item;

  // What is refused.
  const once = { key: key("once"), value: {}, ifAbsent: true };
  results.ifAbsent = [await statusOf(() => kvs.write(once)), await statusOf(() => kvs.write(once))];
  const refused = [
    { value: { n: NaN } },
    { value: { n: [Infinity] } },
    { value: { n: 1n } },
    { value: { n: new Map() } },
    { value: { n: new Date(NaN) } },
    { value: "text" },
    { value: {}, minutesToExpire: NaN },
    { value: {}, minutesToExpire: 0 },
    { value: {}, key: "" },
    { value: {}, key: "\ud800" },
    { value: {}, key: 5 },
  ];
  results.refused = await Promise.all(
    refused.map((record) => statusOf(() => kvs.write({ key: key("no"), ...record }))),
  );
  // A program in JavaScript may pass anything. Every call rejects, and none throws before it has returned its promise.
  const calls = ["get", "write", "delete", "checkAndWrite"].flatMap((name) => [
    kvs[name](),
    kvs[name](null),
    kvs[name]({}),
  ]);
  calls.push(kvs.get("a"), kvs.list(null), kvs.clear(null));
  const settled = await Promise.allSettled(calls);
  results.withoutArguments = settled.map(({ reason }) => reason?.status);
  results.keysLeftOut = await kvs.get({ key: key("no"), keys: undefined });
  results.nothing = await kvs.get({ key: key("no") });
  return results;
}
