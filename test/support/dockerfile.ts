/** What the repository's Dockerfile says, for tests that cannot or need not build it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const text = readFileSync(join(import.meta.dirname, "../../Dockerfile"), "utf8");

/** The arguments of each instruction of this name, in their order. */
export function instructions(name: string): string[] {
  const lines = text.replaceAll(/\\\n\s*/g, "").split("\n");
  return lines.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1));
}

/** Paths of the checkout that are copied into the image. */
export function copiedPaths(): string[] {
  return instructions("COPY").flatMap((line) => line.split(" ").slice(0, -1));
}
