/** Places on the earth, written as the text "latitude,longitude" in degrees. */

export interface Point {
  readonly lat: number;
  readonly lon: number;
}

const NUMBER = String.raw`[+-]?(?:\d+\.?\d*|\.\d+)`;
const POINT = new RegExp(String.raw`^\s*(${NUMBER})\s*,\s*(${NUMBER})\s*$`);

/** No place needs more characters. So a long text that is no place costs nothing. */
const MAX_POINT_CHARS = 100;

/** The place that a text says, for example "48.137,11.575". null: it is none, or out of range. */
export function parsePoint(text: string): Point | null {
  if (text.length > MAX_POINT_CHARS) return null;
  const [, lat, lon] = POINT.exec(text) ?? [];
  const point = { lat: Number(lat), lon: Number(lon) };
  return Math.abs(point.lat) <= 90 && Math.abs(point.lon) <= 180 ? point : null;
}
