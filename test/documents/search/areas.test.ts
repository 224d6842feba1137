/** Areas and distances, against the chord in space and against cases whose answer is known. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Area, boxOf, circleOf, distanceBetween, polygonOf } from "../../../src/documents/search/areas.ts";
import type { Point } from "../../../src/documents/geo.ts";

const at = (lat: number, lon: number): Point => ({ lat, lon });
const anywhere = fc.record({
  lat: fc.double({ min: -90, max: 90, noNaN: true }),
  lon: fc.double({ min: -180, max: 180, noNaN: true }),
});

/** What an R*Tree would find: a place in the area must be in one of its boxes. */
function isCovered({ boxes }: Area, { lat, lon }: Point): boolean {
  return boxes.some(({ bottom, top, left, right }) => lat >= bottom && lat <= top && lon >= left && lon <= right);
}

describe("distances (D72)", () => {
  test.each([
    ["Munich and Berlin", at(48.1372, 11.5756), at(52.52, 13.405), 504_000, 1000],
    ["across the date line", at(0, 179.5), at(0, -179.5), 111_195, 1],
    ["pole to pole", at(90, 0), at(-90, 77), Math.PI * 6_371_008.8, 1],
    ["a place and itself", at(31.2, 121.5), at(31.2, 121.5), 0, 0],
  ])("%s", (_what, a, b, metres, within) => {
    expect(Math.abs(distanceBetween(a, b) - metres)).toBeLessThanOrEqual(within);
    expect(distanceBetween(a, b)).toBe(distanceBetween(b, a));
  });

  test("a circle's boxes cover it, at the poles and at the date line too", () => {
    fc.assert(
      fc.property(anywhere, fc.double({ min: 0, max: 2.1e7, noNaN: true }), anywhere, (center, metres, place) => {
        const area = circleOf(center, metres);
        expect(area.boxes.every(({ left, right, bottom, top }) => left <= right && bottom <= top)).toBe(true);
        expect(!area.contains(place) || isCovered(area, place)).toBe(true);
        expect(area.contains(center) && isCovered(area, center)).toBe(true);
      }),
      { seed: 21, numRuns: 2000 },
    );
  });
});

test("a box may cross the date line, and its edges belong to it", () => {
  const pacific = boxOf(at(10, 170), at(-10, -170));
  const found = [
    at(0, 175),
    at(0, -175),
    at(0, 180),
    at(0, -180),
    at(10, 170),
    at(-10, -170),
    at(0, 0),
    at(11, 175),
    at(0, 169.9),
  ];
  expect(found.map((place) => pacific.contains(place))).toEqual([
    true,
    true,
    true,
    true,
    true,
    true,
    false,
    false,
    false,
  ]);
  const whole = boxOf(at(90, -180), at(-90, 180));
  expect(found.every((place) => whole.contains(place))).toBe(true);
  const edges = fc.property(anywhere, anywhere, (a, b) => {
    const [north, south] = a.lat >= b.lat ? [a, b] : [b, a];
    const area = boxOf(north, south);
    const corners = [north, south, at(north.lat, south.lon), at(south.lat, north.lon)];
    expect(corners.map((corner) => area.contains(corner) && isCovered(area, corner))).toEqual(Array(4).fill(true));
  });
  fc.assert(edges, { numRuns: 2000, examples: [[at(1, 121.5), at(-1, 121.4)]] });
  const line = boxOf(at(10, 180), at(-10, 180));
  expect([at(0, 180), at(0, -180), at(0, 179)].map((place) => line.contains(place))).toEqual([true, true, false]);
});

describe("a polygon", () => {
  const square = [at(0, 0), at(0, 10), at(10, 10), at(10, 0)];
  test.each<[string, Point[], [Point, boolean][]]>([
    [
      "a square with its edges and corners",
      square,
      [
        [at(5, 5), true],
        [at(0, 5), true],
        [at(10, 10), true],
        [at(5, 10.001), false],
        [at(-0.1, 5), false],
      ],
    ],
    [
      "the same, the other way round",
      square.toReversed(),
      [
        [at(5, 5), true],
        [at(11, 5), false],
      ],
    ],
    [
      "a concave one",
      [at(0, 0), at(0, 10), at(5, 5), at(10, 10), at(10, 0)],
      [
        [at(5, 2), true],
        [at(5, 8), false],
        [at(1, 5), true],
      ],
    ],
    [
      "across the date line",
      [at(-5, 175), at(-5, -175), at(5, -175), at(5, 175)],
      [
        [at(0, 179), true],
        [at(0, -179), true],
        [at(0, 180), true],
        [at(0, -180), true],
        [at(0, 0), false],
        [at(0, 174), false],
      ],
    ],
    [
      "across it eastwards from the west",
      [at(5, -170), at(-5, -170), at(-5, 170), at(5, 170)],
      [
        [at(0, -175), true],
        [at(0, 175), true],
        [at(0, 160), false],
      ],
    ],
    [
      "of three corners",
      [at(0, 0), at(0, 10), at(10, 0)],
      [
        [at(2, 2), true],
        [at(8, 8), false],
      ],
    ],
    [
      "of no area",
      [at(0, 0), at(0, 5), at(0, 10)],
      [
        [at(0, 3), true],
        [at(1, 3), false],
      ],
    ],
  ])("%s", (_what, corners, places) => {
    const area = polygonOf(corners);
    for (const [place, isIn] of places) {
      expect({ place, isIn: area.contains(place) }).toEqual({ place, isIn });
      expect(!isIn || isCovered(area, place)).toBe(true);
    }
  });

  test("its boxes cover it, whatever its corners are", () => {
    fc.assert(
      fc.property(fc.array(anywhere, { minLength: 3, maxLength: 12 }), anywhere, (corners, place) => {
        const area = polygonOf(corners);
        expect(!area.contains(place) || isCovered(area, place)).toBe(true);
        for (const corner of corners) expect(area.contains(corner) && isCovered(area, corner)).toBe(true);
      }),
      { seed: 22, numRuns: 1000 },
    );
  });
});
