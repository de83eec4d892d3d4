/** @file Plots as SVG text: lines, points and bands over a linear x axis and a linear or logarithmic y axis. */

export interface Series {
  readonly label: string;
  readonly x: ArrayLike<number>;
  readonly y: ArrayLike<number>;
  /** A line (the default) or points. */
  readonly style?: 'line' | 'points';
  /** A shaded band around the line: its lower and upper edge. */
  readonly band?: { readonly low: ArrayLike<number>; readonly high: ArrayLike<number> };
}

export interface PlotOptions {
  readonly title?: string;
  readonly xLabel?: string;
  readonly yLabel?: string;
  /** A logarithmic y axis (the default): points that are not positive are left out. */
  readonly logY?: boolean;
  readonly width?: number;
  readonly height?: number;
}

// Okabe & Ito's colours: told apart by colour-blind readers and in grey print.
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];
const INK = '#333';

const escaped = (text: string) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const superscript = (n: number) => [...String(n)].map((c) => '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'['-0123456789'.indexOf(c)]).join('');
const px = (v: number) => String(Math.round(v * 100) / 100);

/** About `count` round numbers from `from` to `to`. */
function ticks(from: number, to: number, count: number): number[] {
  const raw = (to - from) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const unit = power * ([1, 2, 5].find((m) => m * power >= raw) ?? 10);
  const first = Math.ceil(from / unit - 1e-9);
  const last = Math.floor(to / unit + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => Number(((first + i) * unit).toPrecision(12)));
}

function range(values: number[]): readonly [number, number] {
  const low = Math.min(...values);
  const high = Math.max(...values);
  return values.length === 0 ? [0, 1] : low === high ? [low - 0.5, high + 0.5] : [low, high];
}

/**
 * One line (or points, or a line in a band) per series, with axes, grid and legend, as the text of an SVG file.
 * @example writeFileSync('fit.svg', linePlot([{ label: 'BFGS', x: iterations, y: norms }], { yLabel: 'gradient norm' }));
 */
export function linePlot(series: readonly Series[], options: PlotOptions = {}): string {
  const { title = '', xLabel = 'iteration', yLabel = '', logY = true, width = 720, height = 440 } = options;
  const left = 76;
  const right = width - 24;
  const top = title ? 48 : 20;
  const bottom = height - 54;
  const pointsOf = (x: ArrayLike<number>, y: ArrayLike<number>) =>
    Array.from(y, (v, i) => [Number(x[i]), logY ? Math.log10(v) : v] as const).filter(([a, b]) =>
      Number.isFinite(a + b),
    );
  const lines = series.map(({ x, y }) => pointsOf(x, y));
  const bands = series.map(({ x, band }) =>
    band === undefined ? [] : [...pointsOf(x, band.high), ...pointsOf(x, band.low).reverse()],
  );
  const points = [...lines, ...bands].flat();
  const [xLow, x1] = range(points.map(([x]) => x));
  // Seconds and iterations count from zero, unless the line begins far from it.
  const x0 = xLow >= 0 && xLow <= 0.3 * x1 ? 0 : xLow;
  const [yLow, yHigh] = range(points.map(([, y]) => y));
  const [y0, y1] = logY
    ? [Math.floor(yLow), Math.ceil(yHigh)]
    : [yLow - 0.05 * (yHigh - yLow), yHigh + 0.05 * (yHigh - yLow)];
  const X = (v: number) => left + ((v - x0) / (x1 - x0)) * (right - left);
  const Y = (v: number) => bottom - ((v - y0) / (y1 - y0)) * (bottom - top);

  // A logarithmic axis is labelled at whole powers of ten only.
  const yTicks = ticks(y0, y1, 7).filter((v) => !logY || Number.isInteger(v));
  const yText = (v: number) => (logY ? (v === 0 ? '1' : `10${superscript(v)}`) : String(v));
  const grid = yTicks.map((v) => `M${left} ${px(Y(v))}H${right}`).join('');
  const xTicks = ticks(x0, x1, 8);
  const marks = xTicks.map((v) => `M${px(X(v))} ${bottom}v5`).join('');
  const text = (x: number, y: number, body: string, more = '') =>
    `<text x="${px(x)}" y="${px(y)}" ${more}>${escaped(body)}</text>`;

  // Where there is more room: a falling line leaves the right upper corner free, a rising one the left.
  const half = (x0 + x1) / 2;
  const upper = (y: number) => y > (y0 + 2 * y1) / 3;
  const crowd = (isLeft: boolean) => points.filter(([x, y]) => x < half === isLeft && upper(y)).length;
  const legendLeft = crowd(true) < crowd(false);
  const legendWidth = 46 + 7 * Math.max(...series.map((s) => s.label.length), 0);
  const legendX = legendLeft ? left + 14 : right - legendWidth;
  const legend = series.map(({ label, style, band }, i) => {
    const y = top + 20 + 20 * i;
    const colour = COLOURS[i % COLOURS.length];
    const mark =
      style === 'points'
        ? `<circle cx="${legendX + 11}" cy="${y - 4}" r="3" fill="${colour}"/>`
        : `<path d="M${legendX} ${y - 4}h22" stroke="${colour}" stroke-width="2.5"/>`;
    const area =
      band && `<path d="M${legendX} ${y - 4}h22" stroke="${colour}" stroke-width="12" stroke-opacity="0.2"/>`;
    return `${area ?? ''}${mark}${text(legendX + 30, y, label)}`;
  });
  const place = ([x, y]: readonly [number, number]) => `${px(X(x))} ${px(Y(y))}`;
  const areas = bands.flatMap((edge, i) =>
    edge.length === 0
      ? []
      : [`<path d="M${edge.map(place).join('L')}Z" fill="${COLOURS[i % COLOURS.length]}" fill-opacity="0.2"/>`],
  );
  const curves = lines.map((line, i) => {
    const colour = COLOURS[i % COLOURS.length];
    const { style = 'line', band } = series[i]!;
    const at = line.map(place);
    const stroke = `fill="none" stroke="${colour}" stroke-linejoin="round" stroke-linecap="round"`;
    const dots = (width: number) =>
      `<path d="${at.map((p) => `M${p}h0`).join('')}" ${stroke} stroke-width="${width}"/>`;
    if (style === 'points') return dots(line.length > 100 ? 3.5 : 5);
    const curve = `<path d="M${at.join('L')}" ${stroke} stroke-width="${line.length > 300 ? 1.5 : 2}"/>`;
    return line.length > 60 || band !== undefined ? curve : curve + dots(5);
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" \
font-family="Helvetica, Arial, sans-serif" font-size="13" fill="${INK}">
<rect width="${width}" height="${height}" fill="#fff"/>
${text(left, 28, title, 'font-size="16" font-weight="bold"')}
<path d="${grid}" stroke="#ddd" stroke-width="1"/>
<path d="M${left} ${top}V${bottom}H${right}${marks}" fill="none" stroke="${INK}" stroke-width="1"/>
${yTicks.map((v) => text(left - 8, Y(v) + 4, yText(v), 'text-anchor="end"')).join('\n')}
${xTicks.map((v) => text(X(v), bottom + 20, String(v), 'text-anchor="middle"')).join('\n')}
${text((left + right) / 2, height - 14, xLabel, 'text-anchor="middle"')}
<text transform="translate(20 ${(top + bottom) / 2}) rotate(-90)" text-anchor="middle">${escaped(yLabel)}</text>
${[...areas, ...curves].join('\n')}
${legend.join('\n')}
</svg>
`;
}
