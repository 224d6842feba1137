/** Runs a piece of TypeScript in the real Deno of this checkout: the oracle for what its clients send and sort. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const denoBinary = fileURLToPath(new URL("../../node_modules/.bin/deno", import.meta.url));

/** Deno opens a file that it may not write to for reading alone. Root may write to every file, so it has to be somebody else. */
export function readOnlyOwner(): { readonly uid?: number } {
  return process.getuid?.() === 0 ? { uid: 65_534 } : {};
}

/**
 * `script` finds what is given to it in `input` (JSON) and answers with one `console.log`, which is returned as parsed JSON.
 * Throws with what Deno printed when it fails or takes more than half a minute.
 */
export function runDeno(script: string, input: unknown, user: { readonly uid?: number } = {}): unknown {
  const program = `const input = JSON.parse(new TextDecoder().decode(await new Response(Deno.stdin.readable).bytes()));\n${script}`;
  const result = spawnSync(
    denoBinary,
    ["run", "--allow-all", "--unstable-kv", "--no-config", "--ext=js", dataUrl(program)],
    {
      input: JSON.stringify(input),
      encoding: "utf8",
      maxBuffer: 1 << 28,
      timeout: 30_000,
      ...user,
      env: { ...process.env, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
    },
  );
  if (result.status !== 0)
    throw new Error(
      `Deno ended with ${result.status ?? result.signal}:\n${result.stderr}\n${String(result.error ?? "")}`,
    );
  return JSON.parse(result.stdout);
}

function dataUrl(program: string): string {
  return `data:text/javascript;base64,${Buffer.from(program).toString("base64")}`;
}
