/** Where an S3 server is, as tests hand it around: from the global set-up into workerd too. */
export interface S3Place {
  /** Without a slash at its end; buckets are below it. */
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly bucket: string;
}

/** The place as the owner of a backup names it. */
export function destinationAt({ endpoint, bucket, region, accessKeyId, secretAccessKey }: S3Place) {
  return { kind: "s3", endpoint, bucketName: bucket, bucketRegion: region, accessKeyId, secretAccessKey } as const;
}

declare module "vitest" {
  interface ProvidedContext {
    s3: S3Place;
    /** Which seeds the simulation of a backup runs. */
    simulation: { readonly from: number; readonly count: number };
  }
}
