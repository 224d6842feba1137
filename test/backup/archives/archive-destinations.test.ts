/** The destinations of archives: tried before they are stored, their secrets sealed, and one that cannot be opened is named. */
import { expect, test } from "vitest";
import { ArchiveDestinations, OWN_PLACE } from "../../../src/backup/archives/archive-destinations.ts";
import type { Destination } from "../../../src/backup/destinations/destination.ts";
import { destinationFailure } from "../../../src/backup/destinations/destination.ts";
import { SecretBox } from "../../../src/backup/secrets.ts";
import type { ArchiveDestinationConfig, NewArchiveDestination } from "../../../src/contracts/archive-commands.ts";
import type { BackupCredentials } from "../../../src/contracts/backup-destinations.ts";
import { MAX_ARCHIVE_DESTINATIONS } from "../../../src/core/archive-limits.ts";
import { encryptionKeys } from "../../../src/core/encryption-keys.ts";
import { failure, isFailure } from "../../../src/core/errors.ts";
import type { SyncStorage } from "../../../src/core/storage.ts";
import { systemEntropy } from "../../../src/objects/system.ts";
import { MemoryDestination } from "../../support/memory-destination.ts";
import { MovableClock, withStorage } from "../../support/workerd/engine.ts";

const key = (id: string, byte: number) => `${id}:${btoa(String.fromCharCode(byte).repeat(32))}`;
const [first, second] = [key("one", 7), key("two", 9)];

interface Options {
  readonly keys?: string;
  readonly ownPlace?: ArchiveDestinationConfig | null;
}

function opened(storage: SyncStorage, { keys = first, ownPlace = null }: Options = {}) {
  const list = encryptionKeys(keys);
  if (isFailure(list)) throw new Error(list.message);
  const places = new Map<string, MemoryDestination>();
  const busy = new Set<string>();
  const asked: { config: ArchiveDestinationConfig; credentials: BackupCredentials | null }[] = [];
  const open = (config: ArchiveDestinationConfig, credentials: BackupCredentials | null): Destination => {
    asked.push({ config, credentials });
    const name = config.type === "s3" ? config.bucket : config.type;
    const place = places.get(name) ?? new MemoryDestination();
    places.set(name, place);
    return place;
  };
  const destinations = new ArchiveDestinations({
    storage,
    clock: new MovableClock(),
    entropy: systemEntropy,
    databaseId: "db",
    secrets: new SecretBox(list, systemEntropy),
    open,
    ownPlace,
    busyAt: (id) => (busy.has(id) ? failure("conflict", "The job a (archive) is sending an archive there") : null),
  });
  return { destinations, places, asked, busy };
}

function s3(bucket: string, changes: Partial<NewArchiveDestination> = {}): NewArchiveDestination {
  return {
    name: bucket,
    enabled: true,
    maxBackups: null,
    config: {
      type: "s3",
      endpoint: "https://s3.example",
      bucket,
      region: "auto",
      addressing: "path",
      prefix: "",
      accessKeyId: "id",
      secretAccessKey: "hidden",
      sessionToken: null,
    },
    ...changes,
  };
}

test("one that does what archives need is stored, its secret sealed, and nothing is left there (Z29)", () =>
  withStorage(async (storage) => {
    const { destinations, places } = opened(storage);
    const made = await destinations.add("a", s3("bucket"));
    expect(made).toMatchObject({
      id: "a",
      name: "bucket",
      enabled: true,
      config: { bucket: "bucket", accessKeyId: "id" },
    });
    expect(JSON.stringify(made)).not.toContain("hidden");
    const rows = storage.sql.exec("SELECT * FROM archive_destinations").toArray();
    expect(JSON.stringify(rows)).not.toContain("hidden");
    expect(places.get("bucket")?.names).toEqual([]);
  }));

test.each(["put", "get", "head", "list", "delete"] as const)("one that refuses to %s is not stored (Z29)", (method) =>
  withStorage(async (storage) => {
    const { destinations, places } = opened(storage);
    const place = new MemoryDestination();
    place.fault = (asked) => (asked === method ? destinationFailure("credentials", "It was refused.") : undefined);
    places.set("bucket", place);
    const refused = await destinations.add("a", s3("bucket"));
    expect(refused).toMatchObject({
      ok: false,
      code: "invalid",
      message: expect.stringContaining(`The trial's ${method}`),
    });
    expect(destinations.list()).toEqual([]);
  }),
);

test("a changed place is tried too; a change that fails changes nothing (Z29)", () =>
  withStorage(async (storage) => {
    const { destinations, places, asked } = opened(storage);
    await destinations.add("a", s3("bucket"));
    const down = new MemoryDestination();
    down.fault = () => destinationFailure("retry", "It is down.");
    places.set("other", down);
    expect(await destinations.change("a", { config: s3("other").config })).toMatchObject({ code: "unavailable" });
    expect(destinations.get("a")).toMatchObject({ config: { bucket: "bucket" } });
    expect(await destinations.change("a", { enabled: false, maxBackups: 3 })).toMatchObject({
      enabled: false,
      maxBackups: 3,
    });
    await destinations.open("a");
    expect(asked.at(-1)).toMatchObject({
      credentials: { accessKeyId: "id", secretAccessKey: "hidden", sessionToken: null },
    });
    expect(destinations.kept()).toEqual(new Map([["a", 3]]));
  }));

test("a name is given once, and there are at most so many", () =>
  withStorage(async (storage) => {
    const { destinations } = opened(storage);
    for (let i = 0; i < MAX_ARCHIVE_DESTINATIONS; i++) await destinations.add(`id ${i}`, s3(`bucket ${i}`));
    expect(await destinations.add("x", s3("bucket 1"))).toMatchObject({ code: "conflict" });
    expect(await destinations.change("id 0", { name: "bucket 1" })).toMatchObject({ code: "conflict" });
    expect(await destinations.add("x", s3("one more"))).toMatchObject({ code: "limit" });
    expect(destinations.remove("id 0")).toEqual({ ok: true });
    expect(destinations.remove("id 0")).toMatchObject({ code: "not-found" });
    expect(await destinations.add("x", s3("one more"))).toMatchObject({ name: "one more" });
  }));

test("two destinations are never at one place: what retention deletes at one would be missing at the other (Z29)", () =>
  withStorage(async (storage) => {
    const { destinations } = opened(storage);
    await destinations.add("a", s3("bucket"));
    await destinations.add("b", s3("other"));
    const own = (type: "r2" | "local", directory: string) => ({ ...s3(type), config: { type, directory } as const });
    await destinations.add("c", own("local", "x"));
    const taken = { code: "conflict", message: expect.stringContaining("is at this place already") };
    expect(await destinations.add("d", s3("bucket", { name: "again" }))).toMatchObject(taken);
    expect(await destinations.add("d", own("r2", "/x/"))).toMatchObject(taken);
    expect(await destinations.change("b", { config: s3("bucket").config })).toMatchObject(taken);
    expect(await destinations.change("b", { config: s3("other").config })).toMatchObject({ name: "other" });
    destinations.restore("e", { name: "restored", maxBackups: null, config: { type: "local", directory: "x" } });
    expect(destinations.list().map(({ id }) => id)).toEqual(["a", "b", "c"]);
  }));

test("the id of a new destination is a decimal number of 53 bits that is above all others (Z26)", () =>
  withStorage(async (storage) => {
    const { destinations } = opened(storage);
    const far = String(Number.MAX_SAFE_INTEGER - 10);
    const uuid = "0e3f7a52-5a53-4c8a-9b5e-0d6f3f2b1c4d";
    for (const id of [destinations.newId(), uuid, far]) await destinations.add(id, s3(`bucket-${id}`));
    const last = destinations.newId();
    expect(Number(last)).toBe(Number(far) + 1);
    expect(destinations.list().map(({ id }) => /^\d{16}$/.test(id))).toEqual(
      destinations.list().map(({ id }) => id !== uuid),
    );
  }));

test("a destination that an archive is being sent to does not leave its place (Z29)", () =>
  withStorage(async (storage) => {
    const { destinations, busy } = opened(storage);
    await destinations.add("a", s3("bucket"));
    busy.add("a");
    const waits = { code: "conflict", message: expect.stringContaining("job a (archive)") };
    expect(destinations.remove("a")).toMatchObject(waits);
    expect(await destinations.change("a", { config: s3("other").config })).toMatchObject(waits);
    // A new secret helps an archive that cannot be sent.
    expect(await destinations.change("a", { name: "renamed", config: s3("bucket").config })).toMatchObject({
      name: "renamed",
      config: { bucket: "bucket" },
    });
    busy.clear();
    expect(await destinations.change("a", { config: s3("other").config })).toMatchObject({
      config: { bucket: "other" },
    });
    expect(destinations.remove("a")).toEqual({ ok: true });
  }));

test("a new archive goes to all that are enabled; one that cannot be opened says why (Z29, Z30)", () =>
  withStorage(async (storage) => {
    const { destinations } = opened(storage, { ownPlace: { type: "local", directory: "" } });
    expect(await destinations.enabled()).toMatchObject([{ destinationId: OWN_PLACE, type: "local" }]);
    await destinations.add("a", s3("bucket"));
    await destinations.add("b", s3("off", { enabled: false }));
    expect(await destinations.enabled()).toMatchObject([{ destinationId: "a", name: "bucket" }]);
    // The deployment's key is another one under the same name.
    const other = opened(storage, { keys: key("one", 8) }).destinations;
    await other.add("c", s3("third"));
    expect(await other.enabled()).toMatchObject([
      {
        destinationId: "a",
        name: "bucket",
        destination: null,
        error: expect.stringContaining("CAIRN_ENCRYPTION_KEYS"),
      },
      { destinationId: "c", name: "third" },
    ]);
    expect(await other.test("a")).toMatchObject({ ok: false });
    expect(other.get("a")).toMatchObject({ lastResult: { error: expect.stringContaining("CAIRN_ENCRYPTION_KEYS") } });
  }));

test("without a destination and without a place of the deployment there is nowhere to go", () =>
  withStorage(async (storage) => {
    const { destinations } = opened(storage);
    expect(await destinations.enabled()).toEqual([]);
    expect(await destinations.open(OWN_PLACE)).toMatchObject({ code: "not-found" });
  }));

test("secrets are sealed anew under the deployment's first key when they are next used", () =>
  withStorage(async (storage) => {
    await opened(storage).destinations.add("a", s3("bucket"));
    await opened(storage, { keys: `${second},${first}` }).destinations.open("a");
    expect(await opened(storage, { keys: second }).destinations.open("a")).toMatchObject({ destinationId: "a" });
  }));

test("a trial says what fails, and its result is kept", () =>
  withStorage(async (storage) => {
    const { destinations, places } = opened(storage);
    await destinations.add("a", s3("bucket"));
    expect(await destinations.test("a")).toMatchObject({ lastResult: { error: null } });
    const place = places.get("bucket");
    if (place !== undefined) place.fault = () => destinationFailure("gone", "There is no such bucket.");
    expect(await destinations.test("a")).toMatchObject({ ok: false, code: "invalid" });
    expect(destinations.get("a")).toMatchObject({ lastResult: { error: expect.stringContaining("no such bucket") } });
    expect(await destinations.test("x")).toEqual(
      failure("not-found", "This database has no such destination for archives."),
    );
  }));
