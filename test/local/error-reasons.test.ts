/** Why workerd could not connect: read from what it writes, and served by reference. That it writes this is for e2e/certificates.test.ts. */
import { expect, onTestFinished, test } from "vitest";
import { ErrorReasons } from "../../src/local/error-reasons.ts";

const errorLine = (what: string): string =>
  `workerd/jsg/util.c++:320: error: e = rust/worker/ffi.rs:104: failed: ${what}`;
const stackLine = (reference: string): string =>
  `stack: /workerd@2b5edc0 /workerd@3fe4230; sentryErrorContext = jsgInternalError; wdErrId = ${reference}`;
const referenceOf = (n: number): string => `r${String(n).padStart(23, "0")}`;

async function served(): Promise<{ reasons: ErrorReasons; ask: (reference: string) => Promise<string | null> }> {
  const reasons = await ErrorReasons.serve();
  onTestFinished(() => reasons.close());
  const ask = async (reference: string): Promise<string | null> => {
    const answer = await fetch(`http://${reasons.address}/${reference}`);
    return answer.ok ? answer.text() : null;
  };
  return { reasons, ask };
}

test.each([
  ["TLS handshake failed: invalid peer certificate: UnknownIssuer", "untrusted"],
  ["TLS handshake failed: invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))", "untrusted"],
  ['TLS handshake failed: invalid peer certificate: certificate not valid for name "a"', "other-name"],
  ["TLS handshake failed: invalid peer certificate: certificate expired: verification time 1", "out-of-date"],
  ["TLS handshake failed: received corrupt message of type InvalidContentType", "no-tls"],
  ["TLS handshake failed: received fatal alert: HandshakeFailure", "no-common-tls"],
  ["failed to lookup address information: Name or service not known", "no-address"],
  ["connecting to 169.254.169.254:80 is not allowed", "no-address"],
])("%s is %s", async (what, reason) => {
  const { reasons, ask } = await served();
  reasons.note(errorLine(what));
  reasons.note(stackLine(referenceOf(1)));
  expect(await ask(referenceOf(1))).toBe(reason);
});

test("a line that is not known, or has another form, gives no reason; a line that comes late is waited for", async () => {
  const { reasons, ask } = await served();
  reasons.note(errorLine("a database said that its disk is full"));
  reasons.note(stackLine(referenceOf(1)));
  reasons.note(stackLine(referenceOf(2)));
  const late = ask(referenceOf(3));
  reasons.note(errorLine("connecting to 10.0.0.1:443 is not allowed"));
  reasons.note(stackLine(referenceOf(3)));
  expect(await late).toBe("no-address");
  expect(await Promise.all([ask(referenceOf(1)), ask(referenceOf(2)), ask("..")])).toEqual([null, null, null]);
});

test("only the latest thousand are kept", async () => {
  const { reasons, ask } = await served();
  for (let n = 0; n <= 1000; n++) {
    reasons.note(errorLine("connecting to 10.0.0.1:443 is not allowed"));
    reasons.note(stackLine(referenceOf(n)));
  }
  expect(await Promise.all([0, 1, 1000].map((n) => ask(referenceOf(n))))).toEqual([null, "no-address", "no-address"]);
});
