/** What the S3 driver does when the network or the server does not: against a real server behind a proxy that makes the faults. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { RETRY_POLICY, type Timing } from "../../../src/backup/destinations/retry.ts";
import type { S3Destination } from "../../../src/backup/destinations/s3.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import { done, failed, text } from "../../backup/destinations/contract.ts";
import { type FaultProxy, startFaultProxy } from "../../support/fault-proxy.ts";
import { openS3At } from "../../support/open-s3.ts";
import { type S3Server, startS3Server } from "../../support/s3-server.ts";
import { realTiming } from "../../support/timing.ts";

/** Waits pass a hundred times faster, deadlines (15 s and more) do not; the clock is the real one, which the server checks. */
const timing: Timing = { ...realTiming, after: (ms, run) => realTiming.after(ms < 15_000 ? ms / 100 : ms, run) };

/** For requests that nobody answers: deadlines come after a second. */
const hasty: Timing = { ...realTiming, after: (ms, run) => realTiming.after(ms < 15_000 ? ms / 100 : ms / 15, run) };

let server: S3Server;
let proxy: FaultProxy;
let counter = 0;
/** A name for each test. */
let name = "";

beforeAll(async () => {
  server = await startS3Server();
  proxy = await startFaultProxy(server.endpoint);
});
afterAll(async () => {
  await proxy.close();
  await server.close();
});
beforeEach(() => {
  proxy.heal();
  counter += 1;
  name = `faults/${counter}`;
});

/** Through the proxy unless told otherwise. */
function open(changes: Partial<S3Server> = {}, changedTiming: Timing = timing): S3Destination {
  return openS3At({ ...server, endpoint: proxy.endpoint, ...changes }, { timing: changedTiming });
}

function triesOf(method: string): number {
  return proxy.seen.filter((request) => request.method === method && request.path.includes(name)).length;
}

describe("faults that pass", () => {
  for (const fault of [
    { do: "answer", status: 500, code: "InternalError" },
    { do: "answer", status: 503, code: "SlowDown", headers: { "retry-after": "1" } },
    { do: "answer", status: 429 },
    { do: "answer", status: 409, code: "ConditionalRequestConflict" },
    { do: "answer", status: 400, code: "RequestTimeout" },
    { do: "reset" },
    { do: "lose-answer" },
    { do: "hang" },
    { do: "delay", ms: 30 },
  ] as const) {
    it(`put succeeds after ${JSON.stringify(fault)} once`, async () => {
      const destination = open({}, fault.do === "hang" ? hasty : timing);
      proxy.add({ fault, method: "PUT", path: new RegExp(name), times: 1 });
      done(await destination.put(name, text("value")));
      expect(triesOf("PUT")).toBe(fault.do === "delay" ? 1 : 2);
      expect(done(await destination.get(name)).bytes).toEqual(text("value"));
    });
  }

  it("get returns the whole object after an answer that was cut short", async () => {
    const destination = open();
    done(await destination.put(name, new Uint8Array(50_000).fill(7)));
    proxy.add({ fault: { do: "truncate", bytes: 20_000 }, method: "GET", times: 1 });
    expect(done(await destination.get(name)).bytes.length).toBe(50_000);
    expect(triesOf("GET")).toBe(2);
  });

  it("list returns every name after an answer that was cut short", async () => {
    const destination = open();
    for (let i = 0; i < 5; i++) done(await destination.put(`${name}/${i}`, text("x")));
    proxy.add({ fault: { do: "truncate", bytes: 300 }, method: "GET", path: /list-type/, times: 1 });
    expect(done(await destination.list(`${name}/`)).objects.length).toBe(5);
  });

  it("put-if-absent whose answer was lost is known to be ours", async () => {
    const destination = open();
    proxy.add({ fault: { do: "lose-answer" }, method: "PUT", times: 1 });
    expect(done(await destination.putIfAbsent(name, text("ours"))).alreadyThere).toBe(true);
  });

  it("completing an upload whose answer was lost is well done", async () => {
    const destination = open();
    const { uploadId } = done(await destination.startUpload(name));
    const { part } = done(await destination.putPart(name, uploadId, 1, text("part")));
    proxy.add({ fault: { do: "lose-answer" }, method: "POST", times: 1 });
    done(await destination.completeUpload(name, uploadId, [part]));
    expect(done(await destination.get(name)).bytes).toEqual(text("part"));
  });

  it("completing an upload that ends in an error with status 200 has failed", async () => {
    const destination = open();
    const { uploadId } = done(await destination.startUpload(name));
    const { part } = done(await destination.putPart(name, uploadId, 1, text("part")));
    proxy.add({ fault: { do: "answer", status: 200, code: "InternalError" }, method: "POST", times: 1 });
    expect(failed(await destination.completeUpload(name, uploadId, [part])).class).toBe("retry");
    done(await destination.completeUpload(name, uploadId, [part]));
  });

  for (const hours of [-1, 1]) {
    it(`a clock that is off by ${hours} h is set right from the answer that complains`, async () => {
      const skewed = { ...timing, clock: { now: () => asUnixMs(Date.now() + hours * 3_600_000) } };
      const destination = open({}, skewed);
      done(await destination.put(name, text("value")));
      done(await destination.head(name));
      expect([triesOf("PUT"), triesOf("HEAD")]).toEqual([2, 1]);
    });
  }

  it("put-if-absent works on a server without conditional writes", async () => {
    const destination = open();
    const fault = { do: "answer", status: 501, code: "NotImplemented" } as const;
    proxy.add({ fault, method: "PUT", times: 1 });
    expect(done(await destination.putIfAbsent(name, text("ours"))).alreadyThere).toBe(false);
    proxy.add({ fault, method: "PUT" });
    expect(done(await destination.putIfAbsent(name, text("ours"))).alreadyThere).toBe(true);
    expect(failed(await destination.putIfAbsent(name, text("their"))).class).toBe("conflict");
  });

  it("on such a server a replacement is made whatever is there", async () => {
    const destination = open();
    done(await destination.put(name, text("first")));
    const { etag } = done(await destination.get(name));
    done(await destination.put(name, text("second")));
    proxy.add({ fault: { do: "answer", status: 501, code: "NotImplemented" }, method: "PUT", times: 1 });
    done(await destination.putIfUnchanged(name, text("third"), etag));
    expect(done(await destination.get(name)).bytes).toEqual(text("third"));
  });

  it("a replacement whose answer was lost is known again", async () => {
    const destination = open();
    done(await destination.put(name, text("first")));
    const { etag } = done(await destination.get(name));
    proxy.add({ fault: { do: "lose-answer" }, method: "PUT", times: 1 });
    done(await destination.putIfUnchanged(name, text("second"), etag));
    expect(triesOf("PUT")).toBe(2 + 1);
  });
});

describe("faults that stay", () => {
  it("gives up after a second try, and says that it may work later", async () => {
    proxy.add({ fault: { do: "answer", status: 500, code: "InternalError" } });
    const failure = failed(await open().put(name, text("x")));
    expect(failure.class).toBe("retry");
    expect(failure.message).toContain("HTTP 500, InternalError");
    expect(triesOf("PUT")).toBe(RETRY_POLICY.tries);
  });

  it("passes a long Retry-After on to its caller at once", async () => {
    proxy.add({ fault: { do: "answer", status: 503, code: "SlowDown", headers: { "retry-after": "120" } } });
    const failure = failed(await open().put(name, text("x")));
    expect(failure).toMatchObject({ class: "retry", retryAfterMs: 120_000 });
    expect(triesOf("PUT")).toBe(1);
  });

  it("understands a Retry-After that is a date", async () => {
    const date = new Date(Date.now() + 60_000).toUTCString();
    proxy.add({ fault: { do: "answer", status: 503, headers: { "retry-after": date } } });
    const { retryAfterMs = 0 } = failed(await open().put(name, text("x")));
    expect(retryAfterMs).toBeGreaterThan(55_000);
    expect(retryAfterMs).toBeLessThanOrEqual(60_000);
  });

  it("ends a request that nobody answers at its deadline", async () => {
    proxy.add({ fault: { do: "hang" } });
    const failure = failed(await open({}, hasty).put(name, text("x")));
    expect(failure.class).toBe("retry");
    expect(failure.message).toContain("did not answer within 16 s");
  });

  it("says which host cannot be reached", async () => {
    const failure = failed(await open({ endpoint: "http://127.0.0.1:9" }).head(name));
    expect(failure.class).toBe("retry");
    expect(failure.message).toContain("127.0.0.1:9");
  });

  for (const [what, expected, fault] of [
    ["access denied", "credentials", { do: "answer", status: 403, code: "AccessDenied" }],
    ["expired credentials", "credentials", { do: "answer", status: 400, code: "ExpiredToken" }],
    ["403 without a reason", "credentials", { do: "answer", status: 403 }],
    ["401", "credentials", { do: "answer", status: 401 }],
    ["a missing bucket", "gone", { do: "answer", status: 404, code: "NoSuchBucket" }],
    ["a wrong region", "bad", { do: "answer", status: 400, code: "AuthorizationHeaderMalformed" }],
    [
      "a redirect",
      "bad",
      {
        do: "answer",
        status: 301,
        code: "PermanentRedirect",
        headers: { location: "http://127.0.0.1:9/", "x-amz-bucket-region": "eu-west-3" },
      },
    ],
    ["a page of something else", "bad", { do: "answer", status: 418 }],
  ] as const) {
    it(`tries ${what} once and calls it "${expected}", without repeating the server's words`, async () => {
      proxy.add({ fault });
      const failure = failed(await open().put(name, text("x")));
      expect(failure.class).toBe(expected);
      expect(failure.message).not.toContain("secret words");
      expect(failure.message).toContain(`HTTP ${fault.status}`);
      expect(triesOf("PUT")).toBe(1);
    });
  }

  it("a redirect names the bucket's region, if that looks like one", async () => {
    const headers = { location: "http://127.0.0.1:9/", "x-amz-bucket-region": "eu-west-3" };
    proxy.add({ fault: { do: "answer", status: 301, headers }, method: "HEAD" });
    expect(failed(await open().head(name)).message).toContain('region "eu-west-3"');
    proxy.heal();
    proxy.add({ fault: { do: "answer", status: 301, headers: { ...headers, "x-amz-bucket-region": "a b" } } });
    expect(failed(await open().head(name)).message).not.toContain("a b");
  });

  it("repeats no code that does not look like one (B44)", async () => {
    proxy.add({ fault: { do: "answer", status: 400, code: "go to http://evil.example" } });
    expect(failed(await open().put(name, text("x"))).message).not.toContain("evil");
  });

  it("takes no listing that is not one", async () => {
    proxy.add({ fault: { do: "answer", status: 200, code: "InternalError" }, method: "GET" });
    expect(failed(await open().list("")).class).toBe("bad");
  });

  it("takes no whole object for a part of it", async () => {
    proxy.add({ fault: { do: "answer", status: 200 }, method: "GET" });
    expect(failed(await open().get(name, { offset: 5, length: 5 })).class).toBe("bad");
  });
});

describe("what the server itself refuses", () => {
  it("a wrong secret is credentials", async () => {
    expect(failed(await open({ secretAccessKey: "wrong" }).put(name, text("x"))).class).toBe("credentials");
    expect(failed(await open({ secretAccessKey: "wrong" }).head(name)).class).toBe("credentials");
  });

  it("an unknown access key is credentials", async () => {
    expect(failed(await open({ accessKeyId: "wrong" }).put(name, text("x"))).class).toBe("credentials");
  });

  it("a bucket that does not exist is gone", async () => {
    const destination = open({ bucket: "no-such-bucket" });
    expect(failed(await destination.put(name, text("x"))).class).toBe("gone");
    expect(failed(await destination.list("")).class).toBe("gone");
    expect(failed(await destination.get(name)).class).toBe("gone");
  });
});
