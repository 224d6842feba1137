/**
 * Reads XML from outside, in one pass and in time linear in its length, whatever its shape. A codec walks the elements from the root down
 * with `enterRoot`, `nextChild`, `text` and `skip`; nothing is built for skipped elements. The whole text is checked on the way: matching
 * tags, one root, known references. So half an answer never reads like a short one.
 *
 * The reader knows what S3's answers consist of: elements, attributes (which it steps over), text, CDATA, comments, processing
 * instructions. It refuses a document type, and so any entity that the document defines.
 */
import { MAX_XML_DEPTH, MAX_XML_NAME_CHARACTERS, MAX_XML_PIECES, MAX_XML_TEXT_CHARACTERS } from "../../core/limits.ts";

/**
 * Thrown for text that is not well-formed or passes a limit. A codec catches it at its boundary. Its message shows nothing of the text.
 */
export class MalformedXml extends Error {
  override readonly name = "MalformedXml";
}

const NO_REFERENCE = /&(?!(?:lt|gt|amp|apos|quot|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});)/;
const NAMED = new Map([
  ["lt", "<"],
  ["gt", ">"],
  ["amp", "&"],
  ["apos", "'"],
  ["quot", '"'],
]);

export class XmlReader {
  /** The name of the element that was entered last, without a namespace prefix. */
  name = "";
  readonly #xml: string;
  #position = 0;
  /** Elements, attributes, comments and similar parts so far. */
  #pieces = 0;
  /** The tags of the open elements, as they were written, the root first. */
  readonly #open: string[] = [];
  /** The element that was entered last is an empty-element tag: `<a/>`. */
  #isEmpty = false;

  constructor(xml: string) {
    this.#xml = xml;
  }

  /** To be called first. */
  enterRoot(): void {
    this.#stepOverMarkup();
    if (this.#isNext("</") || !this.#isNext("<")) fail("has no root element");
    this.#enter();
  }

  /** Enters the next child of the open element. False: there is none, and the open element was left. */
  nextChild(): boolean {
    if (this.#isEmpty) return this.#left();
    this.#stepOverMarkup();
    if (this.#isNext("</")) {
      this.#leave();
      return false;
    }
    this.#enter();
    return true;
  }

  /** Returns the text of the open element, which must have no children, and leaves it. */
  text(): string {
    if (this.#isEmpty) {
      this.#left();
      return "";
    }
    let text = "";
    while (!this.#isNext("</")) {
      if (this.#isNext("<![CDATA[")) text += this.#section("<![CDATA[", "]]>");
      else if (!this.#isNext("<")) text += resolve(this.#characters());
      else if (!this.#stepOverOne()) fail("has an element where text belongs");
      if (text.length > MAX_XML_TEXT_CHARACTERS) fail(`has a text of more than ${MAX_XML_TEXT_CHARACTERS} characters`);
    }
    this.#leave();
    return text;
  }

  /** Leaves the open element and everything in it. */
  skip(): void {
    const depth = this.#open.length - 1;
    while (this.#open.length > depth) this.nextChild();
  }

  /** To be called after the root was left: nothing may follow it. */
  end(): void {
    this.#stepOverMarkup();
    if (this.#open.length > 0 || this.#position < this.#xml.length) fail("goes on behind its root element");
  }

  #enter(): void {
    this.#position += 1;
    const tag = this.#takeName();
    let hadSpace = this.#takeSpace();
    while (!this.#isNext(">") && !this.#isNext("/>")) {
      if (!hadSpace) fail("has a tag that does not end");
      this.#takeAttribute();
      hadSpace = this.#takeSpace();
    }
    this.#isEmpty = this.#isNext("/");
    this.#position += this.#isEmpty ? 2 : 1;
    this.#count();
    this.#open.push(tag);
    if (this.#open.length > MAX_XML_DEPTH) fail(`is deeper than ${MAX_XML_DEPTH} elements`);
    this.name = tag.slice(tag.indexOf(":") + 1);
  }

  #takeAttribute(): void {
    this.#count();
    this.#takeName();
    this.#takeSpace();
    this.#take("=");
    this.#takeSpace();
    const quote = this.#isNext("'") ? "'" : '"';
    this.#take(quote);
    const value = this.#upTo(quote);
    if (value.includes("<") || NO_REFERENCE.test(value)) fail("has an attribute with < or an unknown reference");
  }

  #leave(): void {
    this.#take("</");
    this.#take(this.#open.at(-1) ?? fail("has an end tag too many"));
    this.#takeSpace();
    this.#take(">");
    this.#left();
  }

  #left(): false {
    this.#open.pop();
    this.#isEmpty = false;
    return false;
  }

  /** Moves to the next tag or the end. Text is checked; outside of the root only white space is allowed. */
  #stepOverMarkup(): void {
    do {
      const characters = this.#characters();
      if (this.#open.length === 0 && characters.trim() !== "") fail("has text outside its root element");
      if (NO_REFERENCE.test(characters)) fail("has an unknown reference");
    } while (this.#stepOverOne());
  }

  /** Steps over a comment, a processing instruction or a CDATA section. False: something else comes next. */
  #stepOverOne(): boolean {
    if (this.#isNext("<!--")) this.#section("<!--", "-->");
    else if (this.#isNext("<?")) this.#section("<?", "?>");
    else if (this.#open.length > 0 && this.#isNext("<![CDATA[")) this.#section("<![CDATA[", "]]>");
    else if (this.#isNext("<!")) fail("has a document type, or something else that begins with <!");
    else return false;
    return true;
  }

  #section(begin: string, end: string): string {
    this.#count();
    this.#take(begin);
    return this.#upTo(end);
  }

  #count(): void {
    this.#pieces += 1;
    if (this.#pieces > MAX_XML_PIECES) fail(`has more than ${MAX_XML_PIECES} elements, attributes and comments`);
  }

  /** The text up to the next tag, or to the end. */
  #characters(): string {
    const from = this.#position;
    const next = this.#xml.indexOf("<", from);
    this.#position = next === -1 ? this.#xml.length : next;
    if (next === -1 && this.#open.length > 0) fail("ends within an element");
    return this.#xml.slice(from, this.#position);
  }

  /** The text before `end`. Steps over both. */
  #upTo(end: string): string {
    const from = this.#position;
    const to = this.#xml.indexOf(end, from);
    if (to === -1) fail(`lacks a ${end}`);
    this.#position = to + end.length;
    return this.#xml.slice(from, to);
  }

  #takeName(): string {
    const from = this.#position;
    while (isNameCharacter(this.#xml.charCodeAt(this.#position))) {
      this.#position += 1;
      if (this.#position - from > MAX_XML_NAME_CHARACTERS) {
        fail(`has a name of more than ${MAX_XML_NAME_CHARACTERS} characters`);
      }
    }
    if (this.#position === from)
      fail("has a name that is empty or has other characters than letters, digits and _ . - :");
    return this.#xml.slice(from, this.#position);
  }

  /** Steps over white space. Returns whether there was any. */
  #takeSpace(): boolean {
    const from = this.#position;
    while (isSpace(this.#xml.charCodeAt(this.#position))) this.#position += 1;
    return this.#position > from;
  }

  #take(text: string): void {
    if (!this.#isNext(text)) fail(`lacks a ${text}`);
    this.#position += text.length;
  }

  #isNext(text: string): boolean {
    return this.#xml.startsWith(text, this.#position);
  }
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

/** Whether S3's names can have this character. */
function isNameCharacter(code: number): boolean {
  const isLetter = (code | 0x20) >= 0x61 && (code | 0x20) <= 0x7a;
  return isLetter || (code >= 0x30 && code <= 0x3a) || code === 0x5f || code === 0x2d || code === 0x2e;
}

/** The text with its references replaced. */
function resolve(text: string): string {
  let from = text.indexOf("&");
  if (from === -1) return text;
  if (text.length > MAX_XML_TEXT_CHARACTERS) fail(`has a text of more than ${MAX_XML_TEXT_CHARACTERS} characters`);
  let resolved = text.slice(0, from);
  while (from !== -1) {
    const end = text.indexOf(";", from);
    const name = text.slice(from + 1, end);
    resolved += (end === -1 ? undefined : (NAMED.get(name) ?? numbered(name))) ?? fail("has an unknown reference");
    from = text.indexOf("&", end);
    resolved += text.slice(end + 1, from === -1 ? undefined : from);
  }
  return resolved;
}

/** The character for `#` and a number. undefined when there is none. */
function numbered(name: string): string | undefined {
  const [, decimal, hex] = /^#(?:([0-9]{1,7})|x([0-9A-Fa-f]{1,6}))$/.exec(name) ?? [];
  const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
  const isCharacter = code > 0 && code <= 0x10_ffff && !(code >= 0xd800 && code <= 0xdfff);
  return isCharacter ? String.fromCodePoint(code) : undefined;
}

function fail(problem: string): never {
  throw new MalformedXml(`The document ${problem}.`);
}
