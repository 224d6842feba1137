/**
 * The configuration of workerd: a Cap'n Proto text beside the bundled Worker. It holds no secret and no path of the machine: secrets are
 * read from workerd's environment, and paths are on its command line. The global fetch reaches only public hosts. Private networks are
 * reached only through the separate ways out for backup destinations and webhooks, and not even through these where tenants are not
 * trusted with that. The network compares addresses when it connects, because a name may lead to any address.
 */
import { METADATA_IPV4, METADATA_IPV6, PRIVATE_IPV4, withTranslated } from "../core/networks.ts";
import { secretNames } from "./secrets.ts";

/** What the Worker sees in its environment, and where its objects lie. */
export interface Deployment {
  readonly namespaces: readonly Namespace[];
  /** Text bindings. Each is taken from the environment variable of the same name, and is null when that is not set. */
  readonly variables: readonly string[];
}

export interface Namespace {
  readonly binding: string;
  readonly className: string;
}

/** What src/worker.ts needs from its environment. A new Durable Object class or secret is added here and in wrangler.toml. */
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

/** Ways out to addresses that tenants enter: a binding, and the service behind it. */
const waysOut = [
  { binding: "DESTINATIONS", service: "destinations" },
  { binding: "WEBHOOKS", service: "webhooks" },
];

/** Which addresses tenants may enter: `CAIRN_DESTINATIONS`. */
export type Reach = "any" | "public";

/** An unset variable means "any": the operator of the server is its only tenant. Any other text means "public". */
export function reachOf(text: string | undefined): Reach {
  return text === undefined || text === "any" ? "any" : "public";
}

export interface ConfigOptions {
  readonly reach: Reach;
  /** "trusted.pem", which lies beside the file too, has authorities to trust besides those that browsers trust. */
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
  archives: "archives",
} as const;

/**
 * The text of the configuration file; "worker.js" lies beside it. The objects of a class are stored under a key made from the class's
 * name, so renaming a class needs a migration.
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
    `(name = "ARCHIVES", service = "${workerdNames.archives}")`,
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
    (name = "${workerdNames.archives}", external = (http = ())),
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

/** The date in wrangler.toml, so that the Worker runs alike everywhere. */
export function compatibilityDateOf(wranglerToml: string): string {
  const date = /^compatibility_date\s*=\s*"(\d{4}-\d{2}-\d{2})"/m.exec(wranglerToml)?.[1];
  if (date === undefined) throw new Error("wrangler.toml names no compatibility_date");
  return date;
}

function list(items: readonly string[]): string {
  return items.map((item) => `\n    ${item},`).join("") + (items.length > 0 ? "\n  " : "");
}
