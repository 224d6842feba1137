/** What the S3 driver sends and how much it reads, seen by the function that it calls to get out. */
import { describe, expect, it } from "vitest";
import { S3Destination } from "../../../src/backup/destinations/s3.ts";
import type { OutboundFetch } from "../../../src/backup/destinations/s3-client.ts";
import { RETRY_POLICY, type Timing } from "../../../src/backup/destinations/retry.ts";
import { parseS3Settings } from "../../../src/backup/destinations/s3-settings.ts";
import type { S3Addressing } from "../../../src/contracts/backup-destinations.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import { failed, text } from "./contract.ts";

const timing = {
  clock: { now: () => asUnixMs(Date.UTC(2026, 10, 2, 3, 4, 5, 678)) },
  random: () => 0.5,
  after: (ms: number, run: () => void) => {
    // Deadlines never come, waits are over at once.
    if (ms < 15_000) queueMicrotask(run);
    return () => {};
  },
};

function open(
  fetch: OutboundFetch,
  sessionToken: string | null = null,
  within: Timing = timing,
  addressing: S3Addressing = "path",
): S3Destination {
  const place = {
    endpoint: "https://s3.example.com/sub",
    bucket: "bucket",
    region: "eu-1",
    prefix: "a b+c/",
    addressing,
  } as const;
  const credentials = { accessKeyId: "AKIA", secretAccessKey: "secret", sessionToken };
  const parsed = parseS3Settings({ ...place, ...credentials }, { strict: true });
  if (!parsed.ok) throw new Error(parsed.message);
  return new S3Destination(parsed.settings, fetch, within);
}

const endless = (status: number, chunk: Uint8Array): { response: Response; pulled: () => number } => {
  let pulled = 0;
  const body = new ReadableStream({
    type: "bytes",
    pull(controller) {
      pulled += chunk.length;
      if (pulled > 100_000_000) throw new Error("read without end");
      controller.enqueue(chunk.slice());
    },
  });
  return { response: new Response(body, { status }), pulled: () => pulled };
};

const list = (inner: string): string =>
  `<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${inner}</ListBucketResult>`;
const item = (key: string): string => `<Contents><Key>${key}</Key><Size>1</Size></Contents>`;

describe("a request", () => {
  it("is path-style, encoded, signed with its payload's hash, and follows no redirect (B43)", async () => {
    const calls: [string, RequestInit][] = [];
    const destination = open(async (url, init) => {
      calls.push([url, init]);
      return new Response(null);
    }, "session");
    await destination.put("x/y.bin", text("hello"));
    const [url, init] = calls[0] ?? [];
    const headers = new Headers(init?.headers);
    expect(url).toBe("https://s3.example.com/sub/bucket/a%20b%2Bc/x/y.bin");
    expect(init?.redirect).toBe("manual");
    expect(headers.get("x-amz-content-sha256")).toBe(
      "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    );
    expect(headers.get("x-amz-date")).toBe("20261102T030405Z");
    expect(headers.get("authorization")).toMatch(
      /^AWS4-HMAC-SHA256 Credential=AKIA\/20261102\/eu-1\/s3\/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature=[0-9a-f]{64}$/,
    );
  });

  it("deletes what a listing names, whatever it is called, and nothing that a URL would resolve to another name", async () => {
    const sent: string[] = [];
    const destination = open(async (url) => {
      sent.push(url);
      return new Response(null, { status: 204 });
    });
    expect(await destination.delete("x/my notes (1)é.txt")).toEqual({ ok: true });
    expect(await destination.delete("x//y")).toEqual({ ok: true });
    const url = "https://s3.example.com/sub/bucket/a%20b%2Bc/x/";
    expect(sent).toEqual([`${url}my%20notes%20%281%29%C3%A9.txt`, `${url}/y`]);
    for (const name of ["x/../y", "x/./y", "..", "\ud800"]) {
      expect(failed(await destination.delete(name)).message).toContain("no URL can name");
    }
    expect(sent.length).toBe(2);
  });

  it("is signed anew for each try, with the same bytes", async () => {
    const bodies: unknown[] = [];
    const destination = open(async (_, init) => {
      bodies.push(init.body);
      return new Response(null, { status: 503 });
    });
    expect(failed(await destination.put("x", text("hello"))).class).toBe("retry");
    expect(bodies).toEqual([text("hello"), text("hello")]);
  });
});

describe("an answer", () => {
  it("of an error is read to 64 KiB, and its status still counts (B45)", async () => {
    const { response, pulled } = endless(404, text(`<Error><Code>NoSuchBucket</Code>${" ".repeat(10_000)}`));
    expect(failed(await open(async () => response).get("x")).class).toBe("not-found");
    expect(pulled()).toBeLessThan(100_000);
  });

  it("of 404 with an unknown code does not mean that the object is missing", async () => {
    const answer = (code: string) => new Response(`<Error><Code>${code}</Code></Error>`, { status: 404 });
    const unknown = open(async () => answer("NobodyKnows"));
    for (const outcome of [await unknown.get("x"), await unknown.delete("x")]) {
      expect(failed(outcome)).toMatchObject({
        class: "bad",
        message: expect.stringMatching(
          /NobodyKnows.*access key.*region.*bucket "bucket".*endpoint.*must not contain the bucket/,
        ),
      });
    }
    expect(failed(await open(async () => answer("XAdminUserNotFound")).put("x", text("")))).toMatchObject({
      class: "credentials",
      message: expect.stringContaining("check the access key"),
    });
    expect(failed(await open(async () => answer("NoSuchKey")).get("x")).class).toBe("not-found");
  });

  it('to a listing that says "no such key" is explained: the endpoint must not contain the bucket', async () => {
    const answer = async () => new Response("<Error><Code>NoSuchKey</Code></Error>", { status: 404 });
    expect(failed(await open(answer).list(""))).toMatchObject({
      class: "bad",
      message: expect.stringContaining("the endpoint, which must not contain the bucket"),
    });
  });

  it("that does not come is explained: the server may not speak https", async () => {
    const closed = async () => Promise.reject(new TypeError("fetch failed"));
    expect(failed(await open(closed).get("x"))).toMatchObject({
      class: "retry",
      message: expect.stringContaining("s3.example.com could not be reached, does not speak https there, or closed"),
    });
  });

  it("of a listing is read to 4 MiB (B45)", async () => {
    const { response, pulled } = endless(200, new Uint8Array(100_000));
    expect(failed(await open(async () => response).list("")).class).toBe("bad");
    expect(pulled()).toBeLessThan(4_500_000);
  });

  it("that announces more bytes than may be read at once is refused without being read (B45)", async () => {
    const { response, pulled } = endless(200, new Uint8Array(100_000));
    const announced = new Response(response.body, { headers: { "content-length": "25165825" } });
    expect(failed(await open(async () => announced).get("x")).message).toContain(
      'The object "a b+c/x" is 25165825 bytes long',
    );
    expect(pulled()).toBeLessThan(1_000_000);
  });

  it.each([
    ["cut short", list(`<IsTruncated>false</IsTruncated>${item("a b+c/x")}`).slice(0, -10)],
    ["without its end mark", list(item("a b+c/x"))],
    ["out of order", list(`<IsTruncated>false</IsTruncated>${item("a b+c/y")}${item("a b+c/x")}`)],
    ["of another prefix", list(`<IsTruncated>false</IsTruncated>${item("z/x")}`)],
    ["truncated and empty", list("<IsTruncated>true</IsTruncated>")],
    ["with a document type", `<!DOCTYPE x [<!ENTITY a "b">]>${list("<IsTruncated>false</IsTruncated>")}`],
    ["without sizes", list("<IsTruncated>false</IsTruncated><Contents><Key>a b+c/x</Key></Contents>")],
    ["of something else", "<html><body>Welcome</body></html>"],
    ["of nothing", ""],
  ])("that is a listing %s is refused", async (_, xml) => {
    expect(failed(await open(async () => new Response(xml)).list("")).class).toBe("bad");
  });

  it("that is a listing of more objects than were asked for is refused", async () => {
    const xml = list(`<IsTruncated>true</IsTruncated>${item("a b+c/x")}${item("a b+c/y")}`);
    const destination = open(async () => new Response(xml));
    expect((await destination.list("", { limit: 2 })).ok).toBe(true);
    expect(failed(await destination.list("", { limit: 1 })).class).toBe("bad");
  });

  it("that is a listing of one object is taken", async () => {
    const xml = list(`<IsTruncated>true</IsTruncated>${item("a b+c/x")}`);
    expect(await open(async () => new Response(xml)).list("")).toEqual({
      ok: true,
      objects: [{ name: "x", size: 1, modified: null }],
      next: "x",
    });
  });

  it.each([
    [200, null],
    [500, "999999999999999"],
  ])(
    "of status %i that is never finished is given up after its deadline, and read no further",
    async (status, length) => {
      const deadlines: number[] = [];
      let cancelled = 0;
      const fetch: OutboundFetch = async () => {
        const body = new ReadableStream({ type: "bytes", cancel: () => void cancelled++ });
        return new Response(body, { status, headers: length === null ? {} : { "content-length": length } });
      };
      const hurried: Timing = {
        ...timing,
        after(ms, run) {
          // What is waited for the headers is never over, what is waited for the body at once.
          if (ms > 15_000) deadlines.push(ms);
          if (ms !== 15_000) setTimeout(run);
          return () => {};
        },
      };
      expect(failed(await open(fetch, null, hurried).get("x")).class).toBe("retry");
      expect(cancelled).toBe(RETRY_POLICY.tries);
      expect(deadlines.every((ms) => ms < 150_000)).toBe(true);
    },
  );

  it.each(["Sat, 13 Sep 275760 00:00:00 GMT", "soon"])(
    "that is dated %s does not keep later requests from being signed",
    async (date) => {
      const dates: (string | null)[] = [];
      const destination = open(async (_, init) => {
        dates.push(new Headers(init.headers).get("x-amz-date"));
        return new Response(null, { status: 403, headers: { date } });
      });
      expect(failed(await destination.get("x")).class).toBe("credentials");
      expect(failed(await destination.get("x")).class).toBe("credentials");
      expect(dates).toEqual(["20261102T030405Z", "20261102T030405Z"]);
    },
  );
});

describe("uploads whose id was lost", () => {
  const upload = (key: string, id: string): string => `<Upload><Key>${key}</Key><UploadId>${id}</UploadId></Upload>`;
  const answering = (status: number, body: string) => {
    const calls: string[] = [];
    const destination = open(async (url, { method = "GET" }) => {
      calls.push(`${method} ${new URL(url).search}`);
      return method === "GET" ? new Response(body, { status }) : new Response(null, { status: 204 });
    });
    return { calls, destination };
  };

  it("are aborted if they have exactly this name, and at most twenty at once (Z12)", async () => {
    const own = Array.from({ length: 30 }, (_, i) => upload("a b+c/name", `id${i}`)).join("");
    const uploads = `<ListMultipartUploadsResult>${upload("a b+c/name2", "other")}${own}</ListMultipartUploadsResult>`;
    const { calls, destination } = answering(200, uploads);
    expect(await destination.abortUploads("name")).toEqual({ ok: true, aborted: 30 });
    expect(calls).toHaveLength(21);
    expect(calls.filter((call) => call.startsWith("DELETE")).every((call) => /uploadId=id\d+$/.test(call))).toBe(true);
  });

  it("stay where the server has no such list, or does not show it, and the archive goes on (Z12)", async () => {
    for (const [status, body] of [
      [501, ""],
      [403, "<Error><Code>AccessDenied</Code></Error>"],
      [200, "<ListBucketResult></ListBucketResult>"],
    ] as const) {
      expect(await answering(status, body).destination.abortUploads("name")).toEqual({ ok: true, aborted: null });
    }
    const busy = await answering(503, "").destination.abortUploads("name");
    expect(busy).toMatchObject({ ok: false, class: "retry" });
  });
});
