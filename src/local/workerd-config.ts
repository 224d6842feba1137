/**
 * What workerd is told to run: a Cap'n Proto text beside the bundled Worker. It holds no secret and no path of the machine:
 * secrets are read from workerd's environment, paths come on its command line. The global fetch reaches public hosts only; what
 * lies in private networks is reached by the ways out of their own that backup destinations and webhooks have, and by nothing else;
 * nor by these where tenants are not trusted with it. The network compares addresses, when it connects: a name may lead anywhere.
 */
import { METADATA_IPV4, METADATA_IPV6, PRIVATE_IPV4, withTranslated } from "../core/networks.ts";
import { secretNames } from "./secrets.ts";

/** What the Worker sees in its environment, and where its objects lie. */
export interface Deployment {
  readonly namespaces: readonly Namespace[];
  /** Text bindings, each taken from the environment variable of the same name; null when that is not set. */
  readonly variables: readonly string[];
}

export interface Namespace {
  readonly binding: string;
  readonly className: string;
}

/** What src/worker.ts needs around it. A new Durable Object class or secret is added here and in wrangler.toml. */
export const cairnDeployment: Deployment = {
  namespaces: [
    { binding: "DATABASES", className: "DatabaseObject" },
    { binding: "ORGANIZATIONS", className: "OrganizationObject" },
    { binding: "INDEX", className: "IndexObject" },
  ],
  variables: [
    ...secretNames,
    "CAIRN_TOKEN_ALIAS",
    "CAIRN_DESTINATIONS",
    "CAIRN_PUBLIC_URL",
    "CAIRN_TRUST_PROXY",
    "CAIRN_PROXIED",
  ],
};

/** Ways out to what tenants enter: a binding, and the service behind it. */
const waysOut = [
  { binding: "DESTINATIONS", service: "destinations" },
  { binding: "WEBHOOKS", service: "webhooks" },
];

/** How far tenants are trusted with what they enter: `CAIRN_DESTINATIONS`. */
export type Reach = "any" | "public";

/** None is "any": whoever runs the server is its only tenant, or says otherwise, with any other text. */
export function reachOf(text: string | undefined): Reach {
  return text === undefined || text === "any" ? "any" : "public";
}

export interface ConfigOptions {
  readonly reach: Reach;
  /** "trusted.pem" lies beside the file, too: authorities beside those that browsers trust. */
  readonly trustsMore: boolean;
  /** Some requests go through a proxy. */
  readonly hasProxy: boolean;
  /** For measurements. */
  readonly v8Flags?: readonly string[];
}

/** Names on workerd's command line and in its control messages. */
export const workerdNames = {
  socket: "http",
  objects: "objects",
  disk: "disk",
  reasons: "reasons",
  proxy: "proxy",
} as const;

/**
 * The file's text; "worker.js" lies beside it. A class's objects are stored under a key made from its name, so renaming a class
 * needs a migration.
 */
export function workerdConfig(
  deployment: Deployment,
  compatibilityDate: string,
  { reach, trustsMore, hasProxy, v8Flags = [] }: ConfigOptions,
): string {
  const bindings = [
    ...deployment.variables.map((name) => `(name = "${name}", fromEnvironment = "${name}")`),
    ...waysOut.map(({ binding, service }) => `(name = "${binding}", service = "${service}")`),
    `(name = "DISK", service = "${workerdNames.disk}")`,
    `(name = "REASONS", service = "${workerdNames.reasons}")`,
    ...(hasProxy ? [`(name = "PROXY", service = "${workerdNames.proxy}")`] : []),
    ...deployment.namespaces.map((each) => `(name = "${each.binding}", durableObjectNamespace = "${each.className}")`),
  ];
  const namespaces = deployment.namespaces.map(
    (each) => `(className = "${each.className}", uniqueKey = "cairn-${each.className}", enableSql = true)`,
  );
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "${workerdNames.objects}", disk = (writable = true)),
    (name = "${workerdNames.disk}", external = (http = ())),
    (name = "${workerdNames.reasons}", external = (http = ())),${hasProxy ? `\n    (name = "${workerdNames.proxy}", external = (http = (style = proxy))),` : ""}
${waysOut.map(({ service }) => networkService(service, reach, trustsMore)).join("\n")}
  ],
  sockets = [(name = "${workerdNames.socket}", http = (), service = "main")],
  v8Flags = [${v8Flags.map((flag) => `"${flag}"`).join(", ")}],
);

const main :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "${compatibilityDate}",
  bindings = [${list(bindings)}],
  durableObjectNamespaces = [${list(namespaces)}],
  durableObjectStorage = (localDisk = "${workerdNames.objects}"),
);
`;
}

function networkService(name: string, reach: Reach, trustsMore: boolean): string {
  const allow = reach === "any" ? ["public", "private"] : ["public"];
  const denied = reach === "any" ? METADATA_IPV4 : [...METADATA_IPV4, ...PRIVATE_IPV4];
  const deny = [...denied.flatMap(withTranslated), ...METADATA_IPV6];
  return `    (name = "${name}", network = (
      allow = ${JSON.stringify(allow)},
      deny = ${JSON.stringify(deny)},
      tlsOptions = (trustBrowserCas = true${trustsMore ? ', trustedCertificates = [embed "trusted.pem"]' : ""}),
    )),`;
}

/** The date that wrangler.toml names, so that the Worker runs alike everywhere. */
export function compatibilityDateOf(wranglerToml: string): string {
  const date = /^compatibility_date\s*=\s*"(\d{4}-\d{2}-\d{2})"/m.exec(wranglerToml)?.[1];
  if (date === undefined) throw new Error("wrangler.toml names no compatibility_date");
  return date;
}

function list(items: readonly string[]): string {
  return items.map((item) => `\n    ${item},`).join("") + (items.length > 0 ? "\n  " : "");
}
