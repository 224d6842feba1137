/**
 * Areas on the earth: a circle, a box, a polygon. Each has boxes of latitude and longitude that cover it, which an R*Tree finds, and an
 * exact test. Distances are along the great circle on a sphere of the mean radius.
 *
 * A box whose left edge lies east of its right edge crosses the date line. The edges of a polygon are straight in latitude and longitude, and
 * between two corners an edge takes the shorter way around the earth; so a polygon may cross the date line, and must not contain a pole.
 */
import type { Point } from "../geo.ts";

/** Inclusive. `left` is at most `right`. */
export interface Box {
  readonly bottom: number;
  readonly top: number;
  readonly left: number;
  readonly right: number;
}

export interface Area {
  /** They cover the area, and do not cross the date line. */
  readonly boxes: readonly Box[];
  contains(point: Point): boolean;
}

/** Mean radius of the earth (IUGG), in metres. */
const EARTH_RADIUS = 6_371_008.8;
const RADIANS = Math.PI / 180;
/** In degrees: more than what rounding can lose. */
const MARGIN = 1e-9;

/** Metres between two places, by the haversine formula. */
export function distanceBetween(a: Point, b: Point): number {
  const north = Math.sin(((b.lat - a.lat) * RADIANS) / 2);
  const east = Math.sin(((b.lon - a.lon) * RADIANS) / 2);
  const h = north * north + Math.cos(a.lat * RADIANS) * Math.cos(b.lat * RADIANS) * east * east;
  return 2 * EARTH_RADIUS * Math.asin(Math.min(1, Math.sqrt(h)));
}

/** Metres to the nearest of at least one point. */
export function distanceToNearest(place: Point, points: readonly Point[]): number {
  return Math.min(...points.map((point) => distanceBetween(place, point)));
}

export function circleOf(center: Point, metres: number): Area {
  return { boxes: boxesAround(center, metres), contains: (point) => distanceBetween(center, point) <= metres };
}

function boxesAround({ lat, lon }: Point, metres: number): readonly Box[] {
  const angle = metres / EARTH_RADIUS;
  const degrees = angle / RADIANS + MARGIN;
  const bottom = Math.max(-90, lat - degrees);
  const top = Math.min(90, lat + degrees);
  // Around a pole the circle has every longitude.
  if (lat + degrees >= 90 || lat - degrees <= -90) return [{ bottom, top, left: -180, right: 180 }];
  const half = Math.asin(Math.min(1, Math.sin(angle) / Math.cos(lat * RADIANS))) / RADIANS + MARGIN;
  return unwrapped(bottom, top, lon - half, lon + half);
}

/** `topLeft` and `bottomRight` are in the box. */
export function boxOf(topLeft: Point, bottomRight: Point): Area {
  const { lat: top, lon: left } = topLeft;
  const { lat: bottom, lon: right } = bottomRight;
  // Across the date line the ends stay the numbers that were given: with a turn added and taken away, 121.4 becomes a little less.
  const boxes =
    left <= right
      ? unwrapped(bottom, top, left, right)
      : [
          { bottom, top, left, right: 180 },
          { bottom, top, left: -180, right },
        ];
  return { boxes, contains: (point) => boxes.some((box) => isIn(box, point)) };
}

function isIn({ bottom, top, left, right }: Box, { lat, lon }: Point): boolean {
  return lat >= bottom && lat <= top && lon >= left && lon <= right;
}

/** One box or two, for longitudes that may lie beyond the date line. 180 and -180 are the same meridian: what touches it has both. */
function unwrapped(bottom: number, top: number, left: number, right: number): readonly Box[] {
  const boxes: Box[] = [{ bottom, top, left: Math.max(-180, left), right: Math.min(180, right) }];
  if (left <= -180) boxes.push({ bottom, top, left: Math.min(180, left + 360), right: 180 });
  if (right >= 180) boxes.push({ bottom, top, left: -180, right: Math.max(-180, right - 360) });
  return boxes;
}

/** At least three corners. A place on an edge is in the polygon. */
export function polygonOf(corners: readonly Point[]): Area {
  // Each corner within half a turn of the one before it, so that no edge breaks at the date line. Whole turns are added: so a place that is
  // compared after as many turns is the same number.
  const path: Point[] = [];
  let turn = 0;
  for (const { lat, lon } of corners) {
    const before = path.at(-1)?.lon ?? lon;
    while (lon + turn - before > 180) turn -= 360;
    while (before - (lon + turn) > 180) turn += 360;
    path.push({ lat, lon: lon + turn });
  }
  const lats = path.map(({ lat }) => lat);
  const lons = path.map(({ lon }) => lon);
  const [bottom, top] = [Math.min(...lats), Math.max(...lats)];
  const [left, right] = [Math.min(...lons), Math.max(...lons)];
  // A spiral of a hundred corners may turn around the earth fifty times; turns of it that cover each other are one box.
  const turns = Array.from({ length: 2 * MAX_TURNS + 1 }, (_, i) => (i - MAX_TURNS) * 360);
  const ofPlaces = turns.filter((by) => by >= left - 180 && by <= right + 180);
  const ranges = turns.map((by) => ({
    left: Math.max(-180, left + by - MARGIN),
    right: Math.min(180, right + by + MARGIN),
  }));
  const boxes = ranges.filter((range) => range.left <= range.right).map((range) => ({ bottom, top, ...range }));
  return {
    boxes: boxes.some((box) => box.left === -180 && box.right === 180)
      ? [{ bottom, top, left: -180, right: 180 }]
      : boxes,
    contains: ({ lat, lon }) =>
      lat >= bottom &&
      lat <= top &&
      ofPlaces.some((by) => lon + by >= left && lon + by <= right && isWithin(path, lat, lon + by)),
  };
}

/** Each corner is at most half a turn from the one before it, and a polygon has at most 100. */
const MAX_TURNS = 51;

/** Even-odd rule; the edges belong to the polygon. */
function isWithin(path: readonly Point[], y: number, x: number): boolean {
  let isInside = false;
  let from = path.at(-1);
  for (const to of path) {
    if (from === undefined) return false;
    const cross = (to.lon - from.lon) * (y - from.lat) - (to.lat - from.lat) * (x - from.lon);
    const isBeside =
      Math.min(from.lat, to.lat) <= y &&
      y <= Math.max(from.lat, to.lat) &&
      Math.min(from.lon, to.lon) <= x &&
      x <= Math.max(from.lon, to.lon);
    if (cross === 0 && isBeside) return true;
    const isCrossed = from.lat > y !== to.lat > y;
    if (isCrossed && x < from.lon + ((to.lon - from.lon) * (y - from.lat)) / (to.lat - from.lat)) isInside = !isInside;
    from = to;
  }
  return isInside;
}
