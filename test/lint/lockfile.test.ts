/** What `npm ci` would warn of or fail on, asserted instead of read off its output (`.npmrc` keeps its warnings quiet). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

interface LockedPackage {
  readonly version?: string;
  readonly hasInstallScript?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

interface PackageJson {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly allowScripts: Readonly<Record<string, boolean>>;
}

const root = join(import.meta.dirname, "../..");
// Both files are npm's own and have its documented form.
const locked = (
  JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    readonly packages: Readonly<Record<string, LockedPackage>>;
  }
).packages;
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as PackageJson;

const nameOf = (path: string): string => path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);

test("allowScripts names exactly the locked packages that have install scripts", () => {
  const withScripts = Object.entries(locked).filter(([, entry]) => entry.hasInstallScript === true);
  expect(Object.keys(manifest.allowScripts).toSorted()).toEqual(
    [...new Set(withScripts.map(([path]) => nameOf(path)))].toSorted(),
  );
});

test("every optional dependency is locked, those for other platforms too: npm ci refuses a lockfile without them", () => {
  const names = new Set(Object.keys(locked).map(nameOf));
  const wanted = Object.values(locked).flatMap((entry) => Object.keys(entry.optionalDependencies ?? {}));
  expect(wanted.length).toBeGreaterThan(0);
  expect(wanted.filter((name) => !names.has(name))).toEqual([]);
});

test("dependencies have exact versions", () => {
  const versions = Object.values({ ...manifest.dependencies, ...manifest.devDependencies });
  expect(versions.filter((version) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([]);
});
