/** What stores say, and what their owners are told: what was refused, why as far as the code tells, and what to do. */
import { describe, expect, it } from "vitest";
import { classifyS3Error, type S3ErrorAnswer } from "../../../src/backup/destinations/s3-errors.ts";
import { S3_ACTIONS } from "../../../src/backup/destinations/s3-meanings.ts";

const said = (answer: Partial<S3ErrorAnswer>, action: keyof typeof S3_ACTIONS = "put") =>
  classifyS3Error(
    { status: 400, code: null, retryAfter: null, bucketRegion: null, ...answer },
    { action: S3_ACTIONS[action], bucket: "bucket", region: "us-east-1" },
    0,
  );

describe("a code", () => {
  it.each([
    ["SecondLevelDomainForbidden", 403, "bad", 'set the destination\'s addressing to "virtual-host"'],
    ["VirtualHostDomainRequired", 403, "bad", 'set the destination\'s addressing to "virtual-host"'],
    ["KMS.DisabledException", 400, "credentials", "its key management that the key exists, is enabled"],
    ["XMinioKMSKeyNotFoundException", 400, "credentials", "its key management that the key exists, is enabled"],
    ["KMS.ThrottlingException", 400, "retry", "could not take the request now"],
    ["XMinioAdminBucketQuotaExceeded", 400, "credentials", "A quota or a cap keeps the destination"],
    ["QuotaExceeded", 403, "credentials", "A quota or a cap keeps the destination"],
    ["StorageCapExceeded", 403, "credentials", "A quota or a cap keeps the destination"],
    ["XMinioStorageFull", 507, "retry", "no room for more objects"],
    ["UserDisable", 403, "credentials", "disabled, not signed up, or has unpaid bills"],
    ["AccountProblem", 403, "credentials", "disabled, not signed up, or has unpaid bills"],
    ["ObjectLockedByBucketPolicy", 409, "credentials", "A lock or a retention rule"],
    ["RetentionPolicyNotMet", 403, "credentials", "A lock or a retention rule"],
    ["AccessDenied", 403, "credentials", "grant s3:PutObject"],
    ["ExpiredToken", 400, "credentials", "have expired"],
    [
      "InvalidRequest",
      400,
      "bad",
      "refused to store an object (HTTP 400, InvalidRequest): look up the code in the store's documentation",
    ],
    ["NobodyKnows", 403, "credentials", 'refused to store an object in bucket "bucket" (HTTP 403, NobodyKnows)'],
    ["NobodyKnows", 503, "retry", "could not take the request now (HTTP 503, NobodyKnows)"],
    ["NobodyKnows", 404, "bad", "the endpoint, which must not contain the bucket"],
    ["ObjectParentIsFile", 400, "bad", "choose another prefix"],
  ])("%s with %i is %s, and is told as %s", (code, status, failureClass, words) => {
    const failure = said({ status, code });
    expect(failure).toMatchObject({ class: failureClass, code, message: expect.stringContaining(words) });
    expect(failure.message).toContain(`(HTTP ${status}, ${code})`);
    expect(failure.message).toMatch(/^[A-Z].*\.$/);
  });

  it.each(["<script>", "a b", "x".repeat(65), "", "Ünbekannt", "a\nb", "Code/../x"])(
    "%j is not taken for a code, and is not repeated in the message (B44)",
    (code) => {
      const failure = said({ status: 403, code });
      expect(failure.code).toBeNull();
      expect(failure.message).toContain("(HTTP 403)");
      expect(failure.message).not.toContain(code === "" ? "HTTP 403," : code);
    },
  );
});

describe("a status without a code", () => {
  it.each([
    [301, "bad", "elsewhere"],
    [400, "bad", "check the access key, the region"],
    [401, "credentials", "check the access key, its secret"],
    [402, "credentials", "unpaid bills"],
    [403, "credentials", "that they allow s3:PutObject"],
    [404, "not-found", "no such object"],
    [409, "retry", "could not take the request now"],
    [412, "conflict", "another object of this name"],
    [429, "retry", "could not take the request now"],
    [501, "bad", "cannot store an object in the way that S3 does"],
    [507, "retry", "no room for more objects"],
    [599, "retry", "could not take the request now"],
  ])("%i is %s", (status, failureClass, words) => {
    expect(said({ status })).toMatchObject({ class: failureClass, message: expect.stringContaining(words) });
  });
});

it.each([
  ["put", "store an object", "s3:PutObject"],
  ["get", "read an object", "s3:GetObject"],
  ["head", "look at an object", "s3:GetObject"],
  ["list", "list objects", "s3:ListBucket"],
  ["delete", "delete an object", "s3:DeleteObject"],
] as const)("a refusal of %s names it and the permission that it takes", (action, what, permission) => {
  const { message } = said({ status: 403, code: "AccessDenied" }, action);
  expect(message).toContain(`do not allow to ${what} in bucket "bucket"`);
  expect(message).toContain(`grant ${permission}.`);
});

describe("a wrong region", () => {
  const malformed = { status: 400, code: "AuthorizationHeaderMalformed" };

  it("is reported with the region that the store names", () => {
    for (const answer of [
      malformed,
      { status: 301, code: "PermanentRedirect" },
      { status: 301 },
      { status: 400, code: "IllegalLocationConstraintException" },
    ]) {
      expect(said({ ...answer, bucketRegion: "eu-west-1" }).message).toContain(
        'Bucket "bucket" is in region "eu-west-1", not "us-east-1"',
      );
    }
  });

  it("is reported without a region when the store names none, the configured one, or text that cannot be a region", () => {
    for (const bucketRegion of [null, "us-east-1", "<b>", "a".repeat(100)]) {
      const { message } = said({ ...malformed, bucketRegion });
      expect(message).toContain('does not take region "us-east-1"');
      expect(message).not.toContain("<b>");
    }
  });
});
