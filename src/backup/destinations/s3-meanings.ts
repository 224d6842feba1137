/**
 * What the error codes of S3 and similar stores mean, and what a person can do about them. Providers invent codes of their own. Codes
 * that were met are listed here, with the advice that leads to the cause. Other codes are shown as they are.
 */
import type { DestinationFailureClass } from "./destination.ts";

/** What was asked of the store, in the words of a person who grants permissions. */
export interface S3Action {
  /** To follow a verb, for example "to store an object". */
  readonly what: string;
  /** The permission that the request needs, by AWS's name. */
  readonly permission: string;
}

export const S3_ACTIONS = {
  put: { what: "store an object", permission: "s3:PutObject" },
  get: { what: "read an object", permission: "s3:GetObject" },
  head: { what: "look at an object", permission: "s3:GetObject" },
  list: { what: "list objects", permission: "s3:ListBucket" },
  delete: { what: "delete an object", permission: "s3:DeleteObject" },
  abort: { what: "give up an upload", permission: "s3:AbortMultipartUpload" },
} as const satisfies Record<string, S3Action>;

/** What a sentence about an answer can mention. */
export interface Said {
  readonly action: S3Action;
  readonly bucket: string;
  /** The region as it was entered. */
  readonly region: string;
  /** The region of the bucket by the store's answer. null: the answer has none. */
  readonly bucketRegion: string | null;
  /** Status and code, shown in parentheses. */
  readonly seen: string;
}

export interface Meaning {
  readonly class: DestinationFailureClass;
  readonly sentence: (said: Said) => string;
}

const gone: Meaning = {
  class: "gone",
  sentence: ({ bucket, seen }) =>
    `There is no bucket "${bucket}" at the destination (${seen}): make it, or correct its name.`,
};
const noSuchObject: Meaning = {
  class: "not-found",
  sentence: ({ bucket, seen }) => `There is no such object in bucket "${bucket}" (${seen}).`,
};
const anotherObject: Meaning = {
  class: "conflict",
  sentence: ({ bucket, seen }) => `Bucket "${bucket}" has another object of this name already (${seen}).`,
};
const busy: Meaning = {
  class: "retry",
  sentence: ({ seen }) => `The destination could not take the request now (${seen}).`,
};
const skewed: Meaning = {
  class: "retry",
  sentence: ({ seen }) => `The destination's clock and ours are too far apart (${seen}).`,
};
const full: Meaning = {
  class: "retry",
  sentence: ({ seen }) => `The destination has no room for more objects (${seen}): free space there, or let it grow.`,
};
const wrongCredentials: Meaning = {
  class: "credentials",
  sentence: ({ bucket, seen }) =>
    `The credentials for bucket "${bucket}" were refused (${seen}): check the access key, its secret, and what they allow.`,
};
const notAllowed: Meaning = {
  class: "credentials",
  sentence: ({ action, bucket, seen }) =>
    `The credentials do not allow to ${action.what} in bucket "${bucket}" (${seen}): grant ${action.permission}. A policy of the bucket, a lock on its objects or a cap of the account may be why, too.`,
};
const expired: Meaning = {
  class: "credentials",
  sentence: ({ bucket, seen }) => `The credentials for bucket "${bucket}" have expired (${seen}): enter new ones.`,
};
const encryptionKey: Meaning = {
  class: "credentials",
  sentence: ({ action, bucket, seen }) =>
    `Bucket "${bucket}" encrypts with a key that cannot be used to ${action.what} (${seen}): see in its key management that the key exists, is enabled, and may be used with this access key.`,
};
const quota: Meaning = {
  class: "credentials",
  sentence: ({ action, bucket, seen }) =>
    `A quota or a cap keeps the destination from letting us ${action.what} in bucket "${bucket}" (${seen}): raise it, or make room.`,
};
const share: Meaning = {
  class: "credentials",
  sentence: ({ seen }) =>
    `The archives of this organization take as much of the server's disk as one organization may (${seen}): destroy some, or add a destination of your own. The operator sets the limit, with CAIRN_ARCHIVE_SHARE.`,
};
const account: Meaning = {
  class: "credentials",
  sentence: ({ seen }) =>
    `The account at the destination is disabled, not signed up, or has unpaid bills (${seen}): look into the account.`,
};
const locked: Meaning = {
  class: "credentials",
  sentence: ({ action, bucket, seen }) =>
    `A lock or a retention rule of bucket "${bucket}" does not allow us to ${action.what} (${seen}): take the prefix out of the rule, or use a bucket whose lock keeps versions.`,
};
const pathStyle: Meaning = {
  class: "bad",
  sentence: ({ seen }) =>
    `The destination takes no requests with the bucket in the path (${seen}): set the destination's addressing to "virtual-host".`,
};
const wrongRegion: Meaning = {
  class: "bad",
  sentence: ({ bucket, region, bucketRegion, seen }) =>
    bucketRegion === null || bucketRegion === region
      ? `The destination does not take region "${region}" for bucket "${bucket}" (${seen}): correct the region, or the endpoint, which may be another region's.`
      : `Bucket "${bucket}" is in region "${bucketRegion}", not "${region}" (${seen}): correct the region, and the endpoint if it names one.`,
};
const elsewhere: Meaning = {
  class: "bad",
  sentence: (said) =>
    said.bucketRegion === null || said.bucketRegion === said.region
      ? `The destination sends requests for bucket "${said.bucket}" elsewhere (${said.seen}): the endpoint or the region is wrong.`
      : wrongRegion.sentence(said),
};
const inTheWay: Meaning = {
  class: "bad",
  sentence: ({ bucket, seen }) =>
    `Bucket "${bucket}" has an object where a folder of the prefix is to be (${seen}): choose another prefix.`,
};
const wrongName: Meaning = {
  class: "bad",
  sentence: ({ bucket, seen }) =>
    `The destination does not take "${bucket}" for a bucket's name (${seen}): correct it.`,
};
const notSupported: Meaning = {
  class: "bad",
  sentence: ({ action, seen }) => `The destination cannot ${action.what} in the way that S3 does (${seen}).`,
};
/** For a code that is not listed here, or no code. */
const unknown: Meaning = {
  class: "bad",
  sentence: ({ action, bucket, seen }) =>
    `The destination refused to ${action.what} (${seen}): look up the code in the store's documentation, and check the access key, the region, the name of bucket "${bucket}", and the endpoint, which must not contain the bucket.`,
};

const meaningOfCode = new Map<string, Meaning>([
  ["NoSuchBucket", gone],
  ["NoSuchKey", noSuchObject],
  ["NoSuchUpload", noSuchObject],
  ["PreconditionFailed", anotherObject],
  ["ConditionalRequestConflict", busy],
  ["OperationAborted", busy],
  ["SlowDown", busy],
  ["SlowDownRead", busy],
  ["SlowDownWrite", busy],
  ["InternalError", busy],
  ["ServiceUnavailable", busy],
  ["RequestTimeout", busy],
  ["IncompleteBody", busy],
  ["ClientDisconnect", busy],
  ["BadDigest", busy],
  ["XAmzContentSHA256Mismatch", busy],
  ["KMS.ThrottlingException", busy],
  ["RequestTimeTooSkewed", skewed],
  ["XMinioStorageFull", full],
  ["InsufficientCapacity", full],
  // From the folder of archives of `npm start`.
  ["CairnOrganizationShare", share],
  ["InvalidAccessKeyId", wrongCredentials],
  ["SignatureDoesNotMatch", wrongCredentials],
  ["Unauthorized", wrongCredentials],
  ["InvalidToken", wrongCredentials],
  // The code of versitygw for an access key that it does not know, with status 404.
  ["XAdminUserNotFound", wrongCredentials],
  ["AccessDenied", notAllowed],
  ["ExpiredToken", expired],
  ["ExpiredRequest", expired],
  ["TokenRefreshRequired", expired],
  // From Huawei.
  ["InsufficientStorageSpace", quota],
  ["NotEntitled", account],
  ["AccountProblem", account],
  ["AllAccessDisabled", account],
  ["NotSignedUp", account],
  ["InvalidPayer", account],
  // From Alibaba; from Tencent for unpaid bills.
  ["UserDisable", account],
  ["UnavailableForLegalReasons", account],
  // From R2, Alibaba and Google.
  ["ObjectLockedByBucketPolicy", locked],
  ["FileImmutable", locked],
  ["RetentionPolicyNotMet", locked],
  ["ObjectLocked", locked],
  // From Alibaba, Huawei, Tencent and Volcengine.
  ["SecondLevelDomainForbidden", pathStyle],
  ["VirtualHostDomainRequired", pathStyle],
  ["PathStyleDomainForbidden", pathStyle],
  ["InvalidPathAccess", pathStyle],
  ["AuthorizationHeaderMalformed", wrongRegion],
  ["IllegalLocationConstraintException", wrongRegion],
  ["InvalidRegion", wrongRegion],
  ["PermanentRedirect", elsewhere],
  ["TemporaryRedirect", elsewhere],
  ["InvalidBucketName", wrongName],
  ["NotImplemented", notSupported],
  // From servers that keep objects as files, when a part of the prefix is an object.
  ["ObjectParentIsFile", inTheWay],
  ["XMinioParentIsObject", inTheWay],
]);

/** Families of codes: of the key management of AWS and MinIO, of quotas, of Backblaze's caps. */
const meaningOfFamily: readonly (readonly [RegExp, Meaning])[] = [
  [/^(KMS|XMinioKMS|Kms)/, encryptionKey],
  [/Quota/, quota],
  [/CapExceeded$/, quota],
];

export function meaningOf(code: string): Meaning | undefined {
  return meaningOfCode.get(code) ?? meaningOfFamily.find(([family]) => family.test(code))?.[1];
}

/** The status of Cloudflare's network for a server that it refuses to talk to. */
const certificate: Meaning = {
  class: "bad",
  sentence: ({ seen }) =>
    `The destination has no certificate that Cloudflare trusts, or no TLS in common with it (${seen}): give it a certificate of a public authority.`,
};
const refusal: Meaning = {
  class: "credentials",
  sentence: ({ action, bucket, seen }) =>
    `The destination refused to ${action.what} in bucket "${bucket}" (${seen}): check the access key, its secret, and that they allow ${action.permission}.`,
};
const unknownRefusal: Meaning = {
  class: "credentials",
  sentence: ({ action, bucket, seen }) =>
    `The destination refused to ${action.what} in bucket "${bucket}" (${seen}): look up the code in the store's documentation, and check the access key, its secret, and what they allow.`,
};

/** For an answer without a code, or with an unknown one. */
export function meaningOfStatus(status: number, hasCode: boolean): Meaning {
  if (status >= 300 && status < 400) return elsewhere;
  if (status === 401 || status === 403) return hasCode ? unknownRefusal : refusal;
  if (status === 402) return account;
  // With an unknown code, a 404 may be about anything except an object.
  if (status === 404) return hasCode ? unknown : noSuchObject;
  if (status === 412) return anotherObject;
  if (status === 501) return notSupported;
  if (status === 507) return full;
  if (status === 525 || status === 526) return certificate;
  if (status === 408 || status === 409 || status === 425 || status === 429 || status >= 500) return busy;
  return unknown;
}
