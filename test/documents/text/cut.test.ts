/** Cutting text, against `Intl.Segmenter` and against FTS5 itself. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_WORD_CHARS } from "../../../src/core/document-limits.ts";
import { BREAK, cutTexts, FTS_TOKENIZER, tokensOf } from "../../../src/documents/text/cut.ts";
import { anyWord, beginning, everyWord, phrase, wordsOf } from "../../../src/documents/text/words.ts";
import { withStorage } from "../../support/workerd/engine.ts";

describe("a text is cut", () => {
  const cases: [string, string][] = [
    ["我爱吃米饭", "我 爱 吃 米 饭"],
    ["this is 米饭", "this is 米 饭"],
    ["東京タワーへ行く", "東 京 タ ワ ー へ 行 く"],
    ["がか ガギ", "が か ガ ギ"],
    ["한국 사람들", "한 국 사 람 들"],
    ["人々〆切〇", "人 々 〆 切 〇"],
    ["𠮷野家", "𠮷 野 家"],
    ["葛\u{e0100}城", "葛 城"],
    ["Größe, STRASSE, Straße, Zusammen\u00adarbeit", "grosse strasse strasse zusammenarbeit"],
    ["Ünïcödé Ångström naïve Łódź Ærø İstanbul ısı", "unicode angstrom naive lodz aero istanbul isi"],
    ["ЁЛКА ёлка ΣΊΣΥΦΟΣ σίσυφος", "елка елка σισυφοσ σισυφοσ"],
    ["can't can’t", "can't can't"],
    ["v1.2 3,000 a_b example.com C++ C#", "v1.2 3,000 a_b example com c c"],
    ["ABC123", "abc123"],
    ["ก็ไม่รู้จัก", "ก็ ไม่รู้ จัก"],
    ["हिन्दी किताब", "हिन्दी किताब"],
    ["مُحَمَّد محمد", "محمد محمد"],
    ['שלום א"ב', "שלום א\u05f4ב"],
    ["你好。世界", "你 好 | 世 界"],
    ["你好,world、世界!?好", "你 好 | world | 世 界 | 好"],
    ["Hello, world", "hello world"],
    ["米 饭\n面", "米 饭 面"],
    ["“米饭”", "米 饭"],
    ["🍜 ramen 🍜 麺", "ramen | 麺"],
    ['"a" OR b* NEAR(c) col:d {e} ^f -g', "a or b near c col d e f g"],
    ["", ""],
    ["!!! …。", ""],
    ["\u0000a\u0000b", "a b"],
    ["㍿ ①②", "株 式 会 社 12"],
  ];
  test.each(cases)("%j", (text, tokens) => {
    expect(tokensOf(text).join(" ")).toBe(tokens);
  });

  test("a phrase does not go on from one text of a list to the next", () => {
    expect(cutTexts(["red", "", "green"])).toBe(`red ${BREAK} ${BREAK} green`);
    expect(cutTexts([])).toBe("");
  });

  test("of a very long word the beginning is a token, never half a character", () => {
    expect(tokensOf("x".repeat(10_000))).toEqual(["x".repeat(MAX_WORD_CHARS)]);
    const pairs = tokensOf(`x${"𝼀".repeat(10_000)}`).join("");
    expect(pairs.isWellFormed()).toBe(true);
  });
});

const letters = Array.from("aZ09_.:,;'·|-/@ \n\"’éßñłİкЙёΣςά米饭が—「。");

test("words of the common letters are those that Intl.Segmenter finds (D70)", () => {
  const segmenter = new Intl.Segmenter("en", { granularity: "word" });
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(...Array.from("aZ09_.:,;'·-/@ \nénкйσά—")), maxLength: 24 }),
      (text) => {
        const words = [...segmenter.segment(text)]
          .filter(({ segment, isWordLike }) => isWordLike && /[\p{L}\p{N}]/u.test(segment))
          .map(({ segment }) => segment);
        const bare = words.map((word) => word.toLowerCase().normalize("NFKD").replace(/\p{M}/gu, "").normalize("NFKC"));
        expect(tokensOf(text)).toEqual(bare);
      },
    ),
    { seed: 11, numRuns: 3000 },
  );
});

test("cutting what was cut changes nothing, and no token holds what FTS5 would part", () => {
  fc.assert(
    fc.property(
      fc.string({
        unit: fc.oneof(fc.constantFrom(...letters), fc.string({ unit: "binary", minLength: 1, maxLength: 1 })),
      }),
      (text) => {
        const tokens = tokensOf(text);
        expect(tokensOf(tokens.filter((token) => token !== BREAK).join(" "))).toEqual(
          tokens.filter((token) => token !== BREAK),
        );
        for (const token of tokens) expect(token).not.toMatch(/[\s"\0]/u);
      },
    ),
    { seed: 12, numRuns: 3000 },
  );
});

describe("a query's text is asked", () => {
  test("as words, each a phrase or its characters", () => {
    expect(wordsOf("this is 米饭")).toEqual([["this"], ["is"], ["米", "饭"]]);
    expect(anyWord(wordsOf("this is 米饭"))).toBe('"this" OR "is" OR "米 饭" OR "米" OR "饭"');
    expect(everyWord(wordsOf("is 米饭"))).toBe('"is" AND ("米 饭" OR ("米" AND "饭"))');
    expect(wordsOf("한국 사람")).toEqual([
      ["한", "국"],
      ["사", "람"],
    ]);
  });

  test("as quoted text, whatever of FTS5's syntax it holds", () => {
    expect(anyWord(wordsOf('NEAR(a b) OR "c*'))).toBe('"near" OR "a" OR "b" OR "or" OR "c"');
  });
});

test("FTS5 finds exactly the phrases that are there, and takes every token as it is (D71)", async () => {
  await withStorage(({ sql }) => {
    sql.exec(`CREATE VIRTUAL TABLE t USING fts5(x, content='', contentless_delete=1, tokenize="${FTS_TOKENIZER}")`);
    const texts = [
      "我爱吃米饭",
      "爱吃楼下的米饭",
      "米。饭",
      "米",
      "this one",
      "can't 3,000 a.b",
      "你好。世界",
      "|",
      "Größe 東京",
    ];
    texts.forEach((text, at) => sql.exec("INSERT INTO t(rowid, x) VALUES (?, ?)", at, cutTexts([text])));
    const found = (query: string) =>
      sql
        .exec<{ rowid: number }>("SELECT rowid FROM t WHERE t MATCH ? ORDER BY rank, rowid", query)
        .toArray()
        .map(({ rowid }) => texts[rowid]);
    expect(found(phrase(tokensOf("爱吃米饭")))).toEqual(["我爱吃米饭"]);
    expect(found(anyWord(wordsOf("this is 米饭"))).toSorted()).toEqual(
      ["我爱吃米饭", "爱吃楼下的米饭", "米。饭", "米", "this one"].toSorted(),
    );
    expect(
      found(anyWord(wordsOf("米饭")))
        .slice(0, 2)
        .toSorted(),
    ).toEqual(["我爱吃米饭", "爱吃楼下的米饭"].toSorted());
    expect(found(everyWord(wordsOf("米饭"))).length).toBe(3);
    expect(found(phrase(tokensOf("好世")))).toEqual([]);
    expect(found(phrase(tokensOf("好。世")))).toEqual(["你好。世界"]);
    expect(found(phrase(tokensOf("CAN'T 3,000")))).toEqual(["can't 3,000 a.b"]);
    expect(found(beginning(tokensOf("gro")))).toEqual(["Größe 東京"]);
    expect(found(beginning(tokensOf("grosse 東")))).toEqual(["Größe 東京"]);
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 30 }), (text) => {
        const tokens = tokensOf(text);
        if (tokens.length === 0) return;
        sql.exec("DELETE FROM t WHERE rowid = 100");
        sql.exec("INSERT INTO t(rowid, x) VALUES (100, ?)", cutTexts([text]));
        for (const query of [phrase(tokens), anyWord(wordsOf(text)), everyWord(wordsOf(text)), beginning(tokens)]) {
          expect(sql.exec("SELECT rowid FROM t WHERE t MATCH ? AND rowid = 100", query).toArray().length).toBe(1);
        }
      }),
      { seed: 13, numRuns: 500 },
    );
  });
});
