import { expect, test } from "vitest";
import { parseOptions } from "../../src/local/options.ts";

test("without options: port 4512 on the loopback address, data in .cairn", () => {
  expect(parseOptions([])).toEqual({
    port: 4512,
    host: "127.0.0.1",
    persistTo: ".cairn",
    accessToken: undefined,
    publicUrl: undefined,
    trustProxy: false,
    json: false,
    help: false,
  });
});

test("every option is understood", () => {
  const args = ["--port=0", "--host", "::", "--persist-to", "/d", "--access-token", "t", "--json", "--help"];
  args.push("--public-url=https://kv.example.com/", "--trust-proxy");
  expect(parseOptions(args)).toEqual({
    port: 0,
    host: "::",
    persistTo: "/d",
    accessToken: "t",
    publicUrl: "https://kv.example.com",
    trustProxy: true,
    json: true,
    help: true,
  });
});

test.each(["::1", "[::1]"])("--host %s is the same address", (host) => {
  expect(parseOptions(["--host", host])).toMatchObject({ host: "::1" });
});

test.each([
  [["--prot", "1"], "'--prot'"],
  [["serve"], "'serve'"],
  [["4600"], 'Options of npm scripts come after "--".'],
  [["--port"], "'--port <value>'"],
  [["--json=yes"], "'--json'"],
  [["--port", "65536"], '--port must be a number from 0 to 65535, got "65536"'],
  [["--port", "-1"], "--port"],
  [["--port", "4k"], '--port must be a number from 0 to 65535, got "4k"'],
  [["--host", ""], "--host must not be empty"],
  [["--persist-to="], "--persist-to must not be empty"],
  [["--public-url", "kv.example.com"], "--public-url must be the URL under which clients reach the server"],
  [["--public-url", "https://kv.example.com/x"], "--public-url must be "],
])("%j is refused with a sentence that names it", (args, named) => {
  const refused = parseOptions(args);
  expect(refused).toMatchObject({ ok: false, code: "invalid", message: expect.stringContaining(named) });
  // One line: it is all that the user sees.
  expect(refused).toMatchObject({ message: expect.not.stringContaining("\n") });
});
