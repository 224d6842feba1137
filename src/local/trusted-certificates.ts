/**
 * Certificates of authorities that are trusted besides those that browsers trust. As in Node, the file is named by NODE_EXTRA_CA_CERTS.
 */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * The certificates in the file, in PEM. null when no file is named, or when it has none: then `say` is called with a sentence that says
 * so, because only backups need them.
 */
export function trustedCertificates(file: string | undefined, say: (sentence: string) => void): string | null {
  if (file === undefined || file === "") return null;
  let text;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    say(`NODE_EXTRA_CA_CERTS names a file that cannot be read, ${file}: ${String(error)}.`);
    return null;
  }
  const found = text.match(CERTIFICATE) ?? [];
  const sound = found.filter(isCertificate);
  if (sound.length < found.length || found.length === 0) {
    say(`NODE_EXTRA_CA_CERTS names a file with ${sound.length} certificates in PEM that can be read, ${file}.`);
  }
  return sound.length === 0 ? null : `${sound.join("\n")}\n`;
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== "";
  } catch {
    return false;
  }
}
