/**
 * Where a backup lies and what gives access to it, as commands name it. Plain data, so that it can be sent between objects. The
 * destination of an existing backup carries no secret.
 */

/** Where a request names the bucket: in the path of its URL, or in the host's name, as `bucket.s3.example.com`. */
export type S3Addressing = "path" | "virtual-host";

export interface S3BackupDestination {
  readonly kind: "s3";
  readonly endpoint: string;
  readonly bucketName: string;
  readonly bucketRegion: string;
  readonly accessKeyId: string;
  /** "path" when it is left out. */
  readonly addressing?: S3Addressing;
  /** Empty, or the path below which all objects are put. */
  readonly prefix: string;
}

/** The R2 bucket that is bound to the deployment. */
export interface BoundBucketDestination {
  readonly kind: "r2";
  readonly prefix: string;
}

export type BackupDestination = S3BackupDestination | BoundBucketDestination;

export interface BackupCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Present with credentials that expire, null with others. */
  readonly sessionToken: string | null;
}

export type NewBackupDestination =
  | (Omit<S3BackupDestination, "accessKeyId"> & BackupCredentials)
  | BoundBucketDestination;
