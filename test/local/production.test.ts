/** What `npm ci --omit=dev` installs is all that `npm start` needs. */
import { copyFileSync, cpSync, existsSync, linkSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { expect, test } from "vitest";
import { copiedPaths } from "../support/dockerfile.ts";
import { announced, repository, runScript } from "./program.ts";
import { temporaryFolder } from "./stand-in-server.ts";

/** npm's own files, in their documented form. */
const manifest = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as {
  readonly dependencies: Readonly<Record<string, string>>;
};
const locked = JSON.parse(readFileSync(join(repository, "package-lock.json"), "utf8")) as {
  readonly packages: Readonly<Record<string, { readonly dev?: true; readonly devOptional?: true }>>;
};

/** Started by path, never imported: see src/local/run.sh. */
const programs = ["node"];

test("every package that npm start imports, builds from or runs is in dependencies, and nothing else is", async () => {
  const { metafile } = await build({
    entryPoints: [join(repository, "src/local/start.ts"), join(repository, "src/worker.ts")],
    absWorkingDir: repository,
    bundle: true,
    write: false,
    outdir: "unused",
    format: "esm",
    platform: "node",
    packages: "external",
    external: ["cloudflare:*"],
    metafile: true,
    logLevel: "silent",
  });
  const imported = Object.values(metafile.inputs)
    .flatMap(({ imports }) => imports)
    .filter(({ path, external }) => external === true && !/^(node|cloudflare):/.test(path))
    .map(({ path }) => path);
  // A package that is CommonJS without types is required: esbuild does not see that.
  const required = Object.keys(metafile.inputs).flatMap((file) =>
    [...readFileSync(join(repository, file), "utf8").matchAll(/createRequire\(import\.meta\.url\)\("([^"]+)"\)/g)].map(
      ([, name = ""]) => name,
    ),
  );
  expect(required).toEqual(["workerd"]);
  const needed = new Set([...imported, ...required, ...programs]);
  expect([...needed].toSorted()).toEqual(Object.keys(manifest.dependencies).toSorted());
});

/** The same files under other names: a package of 100 MB is not copied, except to another disk. */
function linkFolder(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) linkFolder(source, target);
    else if (!existsSync(target)) linkFile(source, target);
  }
}

function linkFile(source: string, target: string): void {
  try {
    linkSync(source, target);
  } catch {
    copyFileSync(source, target);
  }
}

test("a server starts in a folder that has these packages, and of the checkout what the Dockerfile copies", async () => {
  const root = temporaryFolder();
  for (const name of copiedPaths()) cpSync(join(repository, name), join(root, name), { recursive: true });
  const production = Object.entries(locked.packages).filter(
    ([path, { dev, devOptional }]) => path !== "" && dev === undefined && devOptional === undefined,
  );
  // What is for another platform is not installed.
  for (const [path] of production) {
    if (existsSync(join(repository, path))) linkFolder(join(repository, path), join(root, path));
  }
  mkdirSync(join(root, "node_modules/.bin"), { recursive: true });
  symlinkSync("../node/bin/node", join(root, "node_modules/.bin/node"));
  expect(existsSync(join(root, "node_modules/vitest"))).toBe(false);

  const program = runScript("start", ["--port=0", "--json", `--persist-to=${join(root, "data")}`], {}, root);
  const { url, connectUrl, accessToken } = await announced(program);
  const exchange = await fetch(connectUrl, {
    method: "POST",
    headers: { authorization: `Bearer ${accessToken}` },
    body: '{"supportedVersions":[3]}',
  });
  expect(exchange.status).toBe(200);
  // The management API loads its schema libraries with the first request.
  expect((await fetch(`${url}/openapi.json`)).status).toBe(200);
  program.process.kill("SIGTERM");
  expect(await program.exited).toBe(0);
});
