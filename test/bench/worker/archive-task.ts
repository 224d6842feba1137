/** What the object is asked that measures archives: `archive-tasks.ts` does it. */
export type ArchiveTask =
  | { readonly task: "archive fill"; readonly from: number; readonly to: number }
  /** Makes an archive, as its job does. Answers the bytes of the file. */
  | { readonly task: "archive make"; readonly keeps: boolean }
  /** Restores the last archive. */
  | { readonly task: "archive restore" }
  /** Reads the same rows, gzips and encrypts them, and keeps the bytes. */
  | { readonly task: "archive bare make" }
  /** Decrypts and decompresses the bytes that the bare loop kept, and inserts the rows into another table. */
  | { readonly task: "archive bare restore" }
  /** One read beside whatever is under way. */
  | { readonly task: "archive get"; readonly index: number };
