/** The few XML texts of S3 that the folder of archives writes and reads. */

export function xmlError(code: string): string {
  return `<Error><Code>${code}</Code></Error>`;
}

export function xmlUploadId(id: string): string {
  return `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`;
}

export const XML_COMPLETED = "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>";

export function xmlListing(
  objects: readonly { readonly name: string; readonly size: number; readonly modified: Date }[],
  truncated: boolean,
): string {
  const items = objects.map(
    ({ name, size, modified }) =>
      `<Contents><Key>${escaped(name)}</Key><Size>${size}</Size><LastModified>${modified.toISOString()}</LastModified></Contents>`,
  );
  return `<ListBucketResult><IsTruncated>${truncated}</IsTruncated>${items.join("")}</ListBucketResult>`;
}

/** The numbers of the parts, in the order in which the body of a completion names them. */
export function partNumbersIn(xml: string): number[] {
  return [...xml.matchAll(/<PartNumber>(\d{1,6})<\/PartNumber>/g)].map(([, number]) => Number(number));
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
