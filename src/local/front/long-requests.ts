/** Which requests take long, or have bodies of any length, as their paths tell. */

/** Bodies of any length, which the Worker reads as they come: it holds only a part of such a body. */
const STREAMED = /\/(?:import(?:\?|$)|backups(?::|%3a)upload(?:\?|$))/i;

export function isStreamed(path: string): boolean {
  return STREAMED.test(path);
}

/** The file of an archive, on its way out or in, in both spellings of its address. */
const ARCHIVE_FILE = /\/backups(?:\/[^/?]*)?(?::|%3a)(?:download|upload)(?:[/?]|$)/i;

/**
 * Whether the request may last: watches, feeds, WebSockets and whole databases as files may. An unread answer or an endless body may not.
 */
export function lasts(path: string, isUpgrade: boolean): boolean {
  return isUpgrade || /\/(?:watch|feed|export|import)(\?|$)/.test(path) || ARCHIVE_FILE.test(path);
}
