/** A headless Chromium for tests, which is no package of npm: the system's own. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { chromium, type Browser } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];

const executable = (process.env["PATH"] ?? "")
  .split(delimiter)
  .flatMap((folder) => NAMES.map((name) => join(folder, name)))
  .find(isExecutable);

/** Why tests with a browser are skipped; null: they are not. On CI none is skipped. */
export const whyNoBrowser =
  executable !== undefined || process.env["CI"] !== undefined
    ? null
    : "There is no Chromium on the PATH. Install it with: sudo apt-get install chromium";

export async function launchBrowser(): Promise<Browser> {
  if (executable === undefined) throw new Error(whyNoBrowser ?? "There is no Chromium on the PATH of this CI machine.");
  return chromium.launch({ executablePath: executable });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
