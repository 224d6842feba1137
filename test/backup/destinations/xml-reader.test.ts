/** The reader of XML against another parser, and everything that it refuses. */
import * as fc from "fast-check";
import { XMLParser } from "fast-xml-parser";
import { describe, expect, it } from "vitest";
import {
  isCompleteAnswer,
  parseError,
  parseListAnswer,
  parseUploadId,
} from "../../../src/backup/destinations/s3-xml.ts";
import { MalformedXml, XmlReader } from "../../../src/backup/destinations/xml-reader.ts";
import * as limits from "../../../src/core/limits.ts";
import { text } from "./contract.ts";

/** An element, as the other parser sees it: a leaf has text. */
interface Tree {
  readonly name: string;
  readonly children: readonly Tree[] | string;
}

/** The element that is open, read as a leaf where this one is a leaf. */
function readLike({ children }: Tree, reader: XmlReader): Tree {
  const { name } = reader;
  if (typeof children === "string") return { name, children: reader.text() };
  const found: Tree[] = [];
  for (const child of children) if (reader.nextChild()) found.push(readLike(child, reader));
  while (reader.nextChild()) found.push({ name: reader.name, children: reader.text() });
  return { name, children: found };
}

function readAll<T>(xml: string, read: (reader: XmlReader) => T): T {
  const reader = new XmlReader(xml);
  reader.enterRoot();
  const value = read(reader);
  reader.end();
  return value;
}

const skim = (xml: string): void => readAll(xml, (reader) => reader.skip());

const textOf = (xml: string): string => readAll(xml, (reader) => reader.text());

const oracle = new XMLParser({
  preserveOrder: true,
  ignoreAttributes: true,
  removeNSPrefix: true,
  parseTagValue: false,
  trimValues: false,
});

function oracleTree(xml: string): Tree {
  const convert = (node: Record<string, unknown>): Tree => {
    const [name = ""] = Object.keys(node);
    // The oracle's own form: an array of nodes, those of text named #text.
    const inside = node[name] as Record<string, unknown>[];
    const elements = inside.filter((child) => !("#text" in child));
    if (elements.length > 0) return { name, children: elements.map(convert) };
    return { name, children: inside.map((child) => String(child["#text"])).join("") };
  };
  const [root] = (oracle.parse(xml) as Record<string, unknown>[]).filter(
    (node) => !Object.keys(node)[0]?.startsWith("?"),
  );
  if (root === undefined) throw new Error("no root");
  return convert(root);
}

const escape = (value: string): string =>
  value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_.-]{0,8}$/);
const words = fc.string({
  unit: fc.constantFrom("a", "ö", "𝄞", "&", "<", ">", '"', "'", "]"),
  minLength: 1,
  maxLength: 12,
});

const { element } = fc.letrec<{ element: string }>((tie) => ({
  element: fc
    .tuple(
      name,
      fc.constantFrom("", "s3:"),
      fc.constantFrom("", " xmlns:s3='urn:x'", " a = \"1&amp;2\" b='>' ", "\n"),
      fc.oneof(
        { depthSize: "small", withCrossShrink: true },
        fc.oneof(words.map(escape), fc.constant("")),
        fc.array(tie("element"), { minLength: 1, maxLength: 4 }).map((children) => children.join("")),
      ),
    )
    .map(([tag, space, attributes, content]) =>
      content === "" ? `<${space}${tag}${attributes}/>` : `<${space}${tag}${attributes}>${content}</${space}${tag} >`,
    ),
}));

describe("the reader of XML", () => {
  it("sees the elements and texts that another parser sees", () => {
    fc.assert(
      fc.property(element, fc.constantFrom("", '<?xml version="1.0"?>\n', "<!-- <a> -->"), (xml, before) => {
        const tree = oracleTree(before + xml);
        expect(readAll(`${before}${xml}\n`, (reader) => readLike(tree, reader))).toEqual(tree);
        skim(before + xml);
      }),
      { numRuns: 300 },
    );
  });

  it("refuses every beginning of a document, and one with a character more", () => {
    const xml = `<a x="1"><b>&amp;c</b><!-- d --><e/><![CDATA[f]]></a>`;
    skim(xml);
    for (let end = 0; end < xml.length; end++) expect(() => skim(xml.slice(0, end))).toThrow(MalformedXml);
    for (const more of ["x", "<a/>", "</a>", "&amp;"]) expect(() => skim(xml + more)).toThrow(MalformedXml);
  });

  it.each([
    ["tags that do not match", "<a><b></a></b>"],
    ["a name that only begins like the open one", "<a></ab>"],
    ["a document type", "<!DOCTYPE a><a/>"],
    ["an entity of its own", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'],
    ["an unknown reference", "<a>&b;</a>"],
    ["a reference to what every object has", "<a>&toString;</a>"],
    ["an ampersand", "<a>b & c</a>"],
    ["an attribute without a value", "<a b></a>"],
    ["attributes without a space between them", '<a b="1"c="2"/>'],
    ["an angle in an attribute", '<a b="<"/>'],
    ["nothing", ""],
    ["text alone", "a"],
    ["a name with a space before it", "< a/>"],
    ["depth", "<a>".repeat(limits.MAX_XML_DEPTH + 1) + "</a>".repeat(limits.MAX_XML_DEPTH + 1)],
    ["elements", `<a>${"<b/>".repeat(limits.MAX_XML_PIECES)}</a>`],
    ["attributes in number", `<a${' b=""'.repeat(limits.MAX_XML_PIECES)}/>`],
    ["comments", `<a>${"<!---->".repeat(limits.MAX_XML_PIECES)}</a>`],
    ["a long name", `<${"a".repeat(limits.MAX_XML_NAME_CHARACTERS + 1)}/>`],
  ])("refuses %s", (_, xml) => {
    expect(() => skim(xml)).toThrow(MalformedXml);
    expect(() => textOf(xml)).toThrow(MalformedXml);
  });

  it("refuses a text that is too long, in one piece or in many", () => {
    const many = limits.MAX_XML_TEXT_CHARACTERS + 1;
    for (const piece of ["b", "&amp;", "b<!---->", "<![CDATA[b]]>"]) {
      expect(() => textOf(`<a>${piece.repeat(many)}</a>`)).toThrow(MalformedXml);
    }
  });

  it("takes what is just within its limits", () => {
    const { MAX_XML_DEPTH, MAX_XML_PIECES, MAX_XML_NAME_CHARACTERS, MAX_XML_TEXT_CHARACTERS } = limits;
    const long = "a".repeat(MAX_XML_NAME_CHARACTERS);
    const longest = "b".repeat(MAX_XML_TEXT_CHARACTERS);
    expect(textOf(`<${long}>${longest}</${long}>`)).toBe(longest);
    skim("<a>".repeat(MAX_XML_DEPTH) + "</a>".repeat(MAX_XML_DEPTH));
    skim(`<a>${"<b/>".repeat(MAX_XML_PIECES - 1)}</a>`);
  });

  it("replaces references once, and none to what is no character", () => {
    expect(() => textOf("<a>&#xd800;</a>")).toThrow(MalformedXml);
    expect(textOf("<a>&#38;lt;&amp;lt;&#x1D11E;&apos;&quot;</a>")).toBe(`&lt;&lt;𝄞'"`);
  });
});

describe("an answer of S3", () => {
  it("is read for what is asked of it", () => {
    const list = `<l:ListBucketResult xmlns:l="urn:s3"><Contents><Owner><ID>x</ID></Owner><Key>a<![CDATA[&]]>&#x9;b</Key><Size>12</Size></Contents><IsTruncated>false</IsTruncated></l:ListBucketResult>`;
    expect(parseListAnswer(text(list), 1)).toEqual({
      objects: [{ key: "a&\tb", size: 12, lastModified: null }],
      truncated: false,
    });
    expect(parseListAnswer(text(list), 0)).toBeUndefined();
    expect(parseError(text("<?xml version='1.0'?><Error><Code>NoSuchKey</Code><Region>eu-1</Region></Error>"))).toEqual(
      { code: "NoSuchKey", region: "eu-1" },
    );
    expect(parseError(text("<Error><Code>A</Code><Code>B</Code></Error>"))).toEqual({ code: null, region: null });
    const upload = "InitiateMultipartUploadResult";
    expect(parseUploadId(text(`<${upload}><Bucket>b</Bucket><UploadId>id</UploadId></${upload}>`))).toBe("id");
    expect(
      isCompleteAnswer(
        text("<CompleteMultipartUploadResult><ETag>&quot;e&quot;</ETag></CompleteMultipartUploadResult>"),
      ),
    ).toBe(true);
    expect(isCompleteAnswer(text("<Error/>"))).toBe(false);
    expect(isCompleteAnswer(text("<CompleteMultipartUploadResult><ETag>"))).toBe(false);
  });
});
