/** How the tables of a part of an object come to their newest version. */
import { expect, test } from "vitest";
import { hasSchema, migrate, schemaOf } from "../../src/core/migrations.ts";
import { CountingStorage } from "../support/counting-storage.ts";
import { withStorage } from "../support/workerd/engine.ts";

const first = ["CREATE TABLE things (name TEXT)", "INSERT INTO things VALUES ('first')"];
const second = ["INSERT INTO things VALUES ('second')"];
const broken = ["INSERT INTO things VALUES ('half')", "INSERT INTO no_table VALUES (1)"];

test("each migration runs once, whole or not at all, and a list that grew goes on where it was", () =>
  withStorage((inner) => {
    const storage = new CountingStorage(inner);
    const names = () =>
      inner.sql
        .exec<{ name: string }>("SELECT name FROM things")
        .toArray()
        .map(({ name }) => name);
    const brought = (...migrations: string[][]) => migrate(storage, schemaOf("things_schema", migrations));

    expect(() => brought(["CREATE TABLE things (name TEXT)", ...broken])).toThrow(/no_table/);
    expect(hasSchema(storage, schemaOf("things_schema", []))).toBe(false);
    brought(first);
    expect(hasSchema(storage, schemaOf("things_schema", []))).toBe(true);
    expect(() => brought(first, second, broken)).toThrow(/no_table/);
    expect(names()).toEqual(["first", "second"]);
    const { read, written } = storage.count(() => brought(first, second));
    expect({ written, readsLittle: read <= 10 }).toEqual({ written: 0, readsLittle: true });
    expect(names()).toEqual(["first", "second"]);
  }));

test("tables of a newer version are refused, and left as they are", () =>
  withStorage((storage) => {
    const brought = (...migrations: string[][]) => migrate(storage, schemaOf("things_schema", migrations));
    brought(first, second);
    expect(() => brought(first)).toThrow(
      "expected things_schema of at most 1, which is what this version of Cairn knows, got 2: a newer version wrote it",
    );
    brought(first, second);
    expect(storage.sql.exec("SELECT name FROM things").toArray()).toHaveLength(2);
  }));
