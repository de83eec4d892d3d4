/** @file The tables as a picture: for each row the figure of every other runner as a multiple of jorch's, on a logarithmic scale. */
import type { Row } from './table.js';

const COLOURS = [
  '#888888',
  '#ee4c2c',
  '#b8321a',
  '#1a73e8',
  '#7b3fe4',
  '#0d904f',
  '#c2185b',
  '#f9a825',
  '#6d4c41',
  '#00838f',
  '#000000',
];
const [LEFT, WIDTH, ROW, TOP] = [210, 640, 22, 70];
const [LOWEST, HIGHEST] = [0.1, 1000];
const place = (ratio: number): number =>
  LEFT + (Math.log(Math.min(Math.max(ratio, LOWEST), HIGHEST) / LOWEST) / Math.log(HIGHEST / LOWEST)) * WIDTH;

/** An SVG; points right of the line are slower than jorch. */
export const picture = (rows: readonly Row[]): string => {
  const others = [...new Set(rows.flatMap(({ values }) => Object.keys(values)))].filter((c) => c !== 'jorch');
  const height = TOP + rows.length * ROW + 30;
  const colour = (c: string): string => COLOURS[others.indexOf(c) % COLOURS.length]!;
  const legend = others.map(
    (c, i) =>
      `<circle cx="${20 + (i % 6) * 145}" cy="${14 + 20 * Math.floor(i / 6)}" r="5" fill="${colour(c)}"/><text x="${28 + (i % 6) * 145}" y="${18 + 20 * Math.floor(i / 6)}">${c}</text>`,
  );
  const scale = [0.1, 1, 10, 100, 1000].map(
    (v) =>
      `<line x1="${place(v)}" x2="${place(v)}" y1="${TOP - 12}" y2="${height - 25}" stroke="${v === 1 ? '#000' : '#ccc'}"/><text x="${place(v)}" y="${height - 10}" text-anchor="middle">${v}×</text>`,
  );
  const points = rows.flatMap(({ name, values: us }, i) => [
    `<text x="${LEFT - 10}" y="${TOP + i * ROW + 4}" text-anchor="end">${name}</text>`,
    ...others.flatMap((c) =>
      us[c] === undefined || us['jorch'] === undefined
        ? []
        : [
            `<circle cx="${place(us[c] / us['jorch'])}" cy="${TOP + i * ROW}" r="5" fill="${colour(c)}"><title>${c}: ${(us[c] / us['jorch']).toFixed(2)} times jorch's</title></circle>`,
          ],
    ),
  ]);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${LEFT + WIDTH + 40}" height="${height}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>${[...legend, ...scale, ...points].join('\n')}</svg>\n`;
};
