/** Runs inside Deno, for `deno-process.ts`: reads orders as lines of JSON, and answers each with one, `{id, result}` or `{id, error}`. */

/** As much of Deno as is used here: the checkout's types know nothing of it. */
declare const Deno: {
  readonly stdin: { readonly readable: ReadableStream<Uint8Array<ArrayBuffer>> };
};

/** Resolves at the end of the orders, which is when whoever gives them has ended. An order is what that sends. */
export async function answerOrders(obey: (order: unknown) => Promise<unknown>): Promise<void> {
  const answer = async (line: string): Promise<void> => {
    const { id, order } = JSON.parse(line) as { id: number; order: unknown };
    try {
      console.log(JSON.stringify({ id, result: await obey(order) }));
    } catch (error) {
      console.log(
        JSON.stringify({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
      );
    }
  };
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) void answer(line);
  }
}
