/** The reference page: the OpenAPI document as one HTML page that loads nothing, neither scripts nor fonts nor other hosts. */

/** The parts of the document that the page shows. */
export interface OpenApiDocument {
  readonly info: { readonly title: string; readonly description?: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components?: { readonly schemas?: Readonly<Record<string, unknown>> };
}

interface Operation {
  readonly summary?: string;
  readonly operationId?: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content?: Content };
  readonly responses?: Readonly<Record<string, { readonly description: string; readonly content?: Content }>>;
}

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly description?: string;
  readonly required?: boolean;
}

type Content = Readonly<Record<string, { readonly schema?: unknown }>>;

const STYLE = `body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h2{font-size:1rem;margin-top:2.5rem}code,pre{font:13px/1.45 ui-monospace,monospace}
pre{background:#8881;padding:.7rem;overflow:auto}dt{font-weight:600}b{text-transform:uppercase}`;

export function referenceHtml(document: OpenApiDocument): string {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => operationHtml(method, path, operation)),
  );
  const schemas = Object.entries(document.components?.schemas ?? {}).map(
    ([name, schema]) => `<h2 id="${escaped(name)}">${escaped(name)}</h2>${schemaHtml(schema)}`,
  );
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escaped(document.info.title)}</title><style>${STYLE}</style><h1>${escaped(document.info.title)}</h1>
<p>${escaped(document.info.description ?? "")} The same for programs: <a href="/openapi.json">/openapi.json</a>.</p>
${operations.join("\n")}<h1>Schemas</h1>${schemas.join("\n")}</html>`;
}

export function referenceResponse(html: string): Response {
  return new Response(html, {
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    },
  });
}

function operationHtml(method: string, path: string, operation: Operation): string {
  const parameters = (operation.parameters ?? []).map(
    ({ name, in: place, description, required }) =>
      `<dt><code>${escaped(name)}</code> (${escaped(place)}${required === true ? ", required" : ""})</dt><dd>${escaped(description ?? "")}</dd>`,
  );
  const responses = Object.entries(operation.responses ?? {}).map(
    ([status, { description, content }]) => `<p>${escaped(status)}: ${escaped(description)}</p>${contentHtml(content)}`,
  );
  const body = operation.requestBody?.content;
  return `<h2 id="${escaped(operation.operationId ?? "")}"><b>${escaped(method)}</b> <code>${escaped(path)}</code></h2>
<p>${escaped(operation.summary ?? "")}</p><dl>${parameters.join("")}</dl>
${body === undefined ? "" : `<p>Body:</p>${contentHtml(body)}`}${responses.join("")}`;
}

function contentHtml(content: Content | undefined): string {
  return Object.values(content ?? {})
    .map(({ schema }) => schemaHtml(schema))
    .join("");
}

function schemaHtml(schema: unknown): string {
  return schema === undefined ? "" : `<pre>${escaped(JSON.stringify(schema, null, 2))}</pre>`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
