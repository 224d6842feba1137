/** The file in a multipart form, however its bytes arrive. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { concatBytes } from "../../../src/core/bytes.ts";
import { boundaryOf, fileOfForm } from "../../../src/doors/backups/form-file.ts";

const encoder = new TextEncoder();

/** Gives the bytes in pieces of these lengths, again and again. */
function arriving(bytes: Uint8Array, cuts: readonly number[]): () => Promise<Uint8Array | null> {
  let [at, turn] = [0, 0];
  return async () => {
    if (at === bytes.length) return null;
    const from = at;
    at = Math.min(bytes.length, at + (cuts[turn++ % cuts.length] ?? 1));
    return bytes.subarray(from, at);
  };
}

async function read(next: () => Promise<Uint8Array | null>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for (let piece = await next(); piece !== null; piece = await next()) pieces.push(piece);
  return concatBytes(pieces);
}

function formOf(file: Uint8Array): Uint8Array {
  const head = '--a-b\r\ncontent-disposition: form-data; name="file"\r\ncontent-type: application/octet-stream\r\n\r\n';
  return concatBytes([encoder.encode(head), file, encoder.encode("\r\n--a-b--\r\n")]);
}

/** Bytes of which many are parts of a boundary. */
const anyFile = fc
  .array(fc.constantFrom(13, 10, 45, 97, 98, 0), { maxLength: 40 })
  .map((bytes) => Uint8Array.from(bytes));
const anyCuts = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 5 });

test("the file comes out as it went in, whatever is in it and however it is cut (Z24)", async () => {
  await fc.assert(
    fc.asyncProperty(anyFile, anyCuts, async (file, cuts) => {
      // The one text that no file in this form may have.
      fc.pre(!new TextDecoder("latin1").decode(file).includes("\r\n--a-b"));
      expect(await read(fileOfForm(arriving(formOf(file), cuts), "a-b"))).toEqual(file);
    }),
  );
});

test("a form that is cut short at any byte is refused (Z25)", async () => {
  const form = formOf(encoder.encode("file"));
  // Two bytes of a line break may be missing at its end.
  for (let length = 0; length < form.length - 2; length++) {
    await expect(read(fileOfForm(arriving(form.subarray(0, length), [7]), "a-b"))).rejects.toThrow("breaks off");
  }
});

test.each([
  [null, null],
  ["application/octet-stream", null],
  ["multipart/form-data; boundary=x-y", "x-y"],
  ['Multipart/Form-Data; charset=utf-8; Boundary="x y"', "x y"],
])("the boundary in %j", (type, boundary) => {
  expect(boundaryOf(type)).toBe(boundary);
});
