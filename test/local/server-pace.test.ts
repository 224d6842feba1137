/** What clients send on WebSockets goes to the server process as fast as that looks at its other connections. */
import { expect, test } from "vitest";
import { PIECES_PER_REQUEST, SOCKET_PIECES_UNDER_WAY } from "../../src/core/limits.ts";
import { ServerPace } from "../../src/local/front/server-pace.ts";

function paced() {
  const questions: (() => void)[] = [];
  const pace = new ServerPace((answered) => questions.push(answered));
  const passed: string[] = [];
  const enter = (path: string, name: string, part = 1) =>
    pace.enter(path, ({ weigh }) => {
      weigh(part);
      passed.push(name);
    });
  return { questions, passed, enter, pace };
}

test("so many pieces are on their way until the server process has answered a question behind them", () => {
  const { questions, passed, enter } = paced();
  for (let i = 0; i < 100; i++) enter("/a", `a${i}`);
  expect(passed).toHaveLength(SOCKET_PIECES_UNDER_WAY);
  expect(questions).toHaveLength(1);
  enter("/b", "b");
  for (let asked = 1; asked <= 40; asked++) {
    questions[asked - 1]?.();
    expect(questions.length).toBeLessThanOrEqual(asked + 1);
  }
  expect(passed.indexOf("b")).toBeLessThan(3 * SOCKET_PIECES_UNDER_WAY);
  expect(passed).toHaveLength(101);
});

test("a lone piece asks nothing, and one that is over before its turn is not passed on", () => {
  const { questions, passed, enter } = paced();
  enter("/a", "lone");
  expect([passed, questions]).toEqual([["lone"], []]);
  for (let i = 1; i < SOCKET_PIECES_UNDER_WAY; i++) enter("/a", String(i));
  enter("/a", "gone").over();
  enter("/a", "last");
  for (const answered of questions) answered();
  expect(passed.at(-1)).toBe("last");
  expect(passed).not.toContain("gone");
});

test("what the server process has answered is not on its way any more, and asks no question", () => {
  const { questions, passed, pace } = paced();
  const answers: (() => void)[] = [];
  const enter = () =>
    pace.enter({}, ({ weigh, read }) => {
      weigh(PIECES_PER_REQUEST);
      passed.push("request");
      answers.push(read);
    });
  for (let i = 0; i < 1000; i++) {
    enter();
    // Only the first answer counts.
    for (let times = 0; times < 3; times++) answers[i]?.();
  }
  expect([passed.length, questions.length]).toEqual([1000, 0]);
  for (let i = 0; i < 100; i++) enter();
  expect([passed.length, questions.length]).toEqual([1000 + SOCKET_PIECES_UNDER_WAY / PIECES_PER_REQUEST, 1]);
});

test("small pieces count as parts of complete ones", () => {
  const { questions, passed, enter } = paced();
  for (let i = 0; i < 1000; i++) enter("/a", String(i), 1 / 16);
  expect(passed).toHaveLength(16 * SOCKET_PIECES_UNDER_WAY);
  for (let answered = 0; answered < questions.length; answered++) questions[answered]?.();
  expect(passed).toHaveLength(1000);
});
