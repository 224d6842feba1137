/** XML of 4 MiB in shapes that a parser can stumble over, for the test and the bench of the reader. */

const SIZE = 4 * 1024 * 1024;

const repeated = (piece: string, room = SIZE): string => piece.repeat(Math.floor(room / piece.length));
const filled = (before: string, piece: string, after: string): string =>
  before + repeated(piece, SIZE - before.length - after.length) + after;

const root = "<ListBucketResult>";
const rootEnd = "<IsTruncated>false</IsTruncated></ListBucketResult>";
const longName = "n".repeat(1024 * 1024);
const object = (key: string): string =>
  `<Contents><Key>${key}</Key><LastModified>2026-11-02T03:04:05.678Z</LastModified><ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><Size>1</Size><Owner><ID>${"0".repeat(64)}</ID><DisplayName>owner</DisplayName></Owner><StorageClass>STANDARD</StorageClass></Contents>`;

/** A page of 1,000 keys of 1,024 bytes, each written as long as it can be. */
export const longestPage = `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name>${Array.from(
  { length: 1000 },
  (_, i) => object(String(i).padStart(4, "0") + "&amp;".repeat(600) + "k".repeat(400)),
).join("")}${rootEnd}`;

export const hostileXml: Readonly<Record<string, string>> = {
  "a name of 1 MB with 300,000 empty children": `<${longName}>${"<a/>".repeat(300_000)}</${longName}>`,
  "a name of 1 MB below the root, with 300,000 empty children": `${root}<${longName}>${"<a/>".repeat(300_000)}</${longName}>${rootEnd}`,
  "empty children": filled(root, "<a/>", rootEnd),
  "children with end tags": filled(root, "<a></a>", rootEnd),
  "objects without content": filled(root, "<Contents><Key>k</Key><Size>1</Size></Contents>", rootEnd),
  "objects in each other": repeated("<Contents>"),
  "elements in each other, closed": "<a>".repeat(500_000) + "</a>".repeat(500_000),
  "only names": filled("<", "a", ""),
  "only open angles": repeated("<"),
  "only ampersands": filled(`${root}<Key>`, "&", `</Key>${rootEnd}`),
  "references in a text that is read": filled(
    `${root}<Contents><Key>`,
    "&amp;",
    `</Key><Size>1</Size></Contents>${rootEnd}`,
  ),
  "references in a text that is not read": filled(`${root}<a>`, "&amp;", `</a>${rootEnd}`),
  "references that do not end": filled(root, "&amp", rootEnd),
  comments: filled(root, "<!---->", rootEnd),
  "comments that do not end": filled(root, "<!--", rootEnd),
  "sections of text": filled(`${root}<IsTruncated>`, "<![CDATA[]]>", `</IsTruncated></ListBucketResult>`),
  "sections that do not end": filled(root, "<![CDATA[", rootEnd),
  instructions: filled("", "<??>", root + rootEnd),
  attributes: filled("<ListBucketResult", ' a=""', ">"),
  "an attribute that does not end": filled("<ListBucketResult a='", '"', ""),
  "white space in a tag": filled("<ListBucketResult", " ", ""),
  "white space around an equals sign": filled("<ListBucketResult a", " ", ""),
  "white space before the root": repeated(" "),
  "names with colons": filled("<", "a:", ">"),
  "a document type": filled('<!DOCTYPE a [<!ENTITY b "', "c", '">]><ListBucketResult/>'),
  "entities in each other": `<!DOCTYPE a [${Array.from({ length: 50 }, (_, i) => `<!ENTITY e${i + 1} "${`&e${i};`.repeat(1000)}">`).join("")}]><a>&e50;</a>`,
  "end tags": filled(root, "</a>", ""),
  "a longest name and its end": filled(root, `<${"a".repeat(128)}></${"a".repeat(128)}>`, rootEnd),
  "a text of 4 MiB": filled(`${root}<a>`, "x", `</a>${rootEnd}`),
  "a key of 4 MiB": filled(`${root}<Contents><Key>`, "x", `</Key></Contents>${rootEnd}`),
  "a text in pieces": filled(`${root}<IsTruncated>`, "x<!---->", `</IsTruncated></ListBucketResult>`),
};
