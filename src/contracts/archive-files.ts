/**
 * How a door gets the bytes of an archive from the database's object, and brings it bytes. Only the deployment's own doors can call an
 * object, after the organization has admitted the caller.
 *
 * `GET /archives/{id}`, with `first` and `last` in the query for a range: the bytes. `POST /archives`: the body is a file
 * in frames (`codec/framed-body.ts`); the answer is the archive, as JSON. A failure is its JSON, with status 400.
 */
export const archiveProtocol = {
  path: "/archives",
  /** Percent-encoded, with POST. */
  descriptionHeader: "x-cairn-archive-description",
} as const;
