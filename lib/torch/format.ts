/** @file Prints tensors exactly as Python's torch does: `tensor([[1., 2.],\n        [3., 4.]])`. Follows torch/_tensor_str.py. */
import { type DType, isComplex, isFloating } from './dtype.js';
import { bindArguments } from './python-call.js';

/** An element as JavaScript has it. */
export type Element = number | bigint | boolean | { readonly re: number; readonly im: number };

/** What is printed of a tensor. `data` are its elements in row-major order, or a function of the flat index (large tensors are read at their edges only); without data, as on the meta device, dots stand for them. */
export interface Printable {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly data?: ArrayLike<Element> | ((index: number) => Element);
  /** Shown unless it is the CPU. */
  readonly device?: string;
  readonly requires_grad?: boolean;
  /** Name of the node that made it: `AddBackward0`. Shown in place of requires_grad. */
  readonly grad_fn?: string | null;
  readonly layout?: string;
  readonly parameter?: boolean;
  /** float32 unless changed by set_default_dtype; its tensors are printed without a dtype. */
  readonly defaultDtype?: DType;
}

export interface PrintOptions {
  /** Digits after the point. */
  precision: number;
  /** Tensors of more elements are shortened. */
  threshold: number;
  /** Elements shown at each end of a shortened dimension. */
  edgeitems: number;
  /** Characters of a line. */
  linewidth: number;
  /** Scientific notation; null decides by the values. */
  sci_mode: boolean | null;
}

const DEFAULTS: PrintOptions = { precision: 4, threshold: 1000, edgeitems: 3, linewidth: 80, sci_mode: null };
const PROFILES: Readonly<Record<string, PrintOptions>> = {
  default: DEFAULTS,
  short: { ...DEFAULTS, precision: 2, edgeitems: 2 },
  full: { ...DEFAULTS, threshold: Number.POSITIVE_INFINITY },
};
let current: PrintOptions = { ...DEFAULTS };

/** The options in force. */
export const printOptions = (): Readonly<PrintOptions> => current;

/**
 * Changes how tensors are printed from now on; what is not given stays.
 * https://docs.pytorch.org/docs/stable/generated/torch.set_printoptions.html
 */
export function set_printoptions(
  options: { readonly [K in keyof PrintOptions]?: PrintOptions[K] | undefined } & {
    readonly profile?: 'default' | 'short' | 'full' | undefined;
  },
): void {
  const names = ['precision', 'threshold', 'edgeitems', 'linewidth', 'profile', 'sci_mode'] as const;
  const given = bindArguments('set_printoptions', ['*', ...names.map((name) => [name, undefined] as const)], [options]);
  const { profile, ...own } = given;
  const base = profile === undefined ? current : { ...(PROFILES[String(profile)] ?? DEFAULTS), sci_mode: null };
  current = {
    ...base,
    ...(Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined)) as Partial<PrintOptions>),
  };
}

/** Whether the digits of an exact decimal after `digits` decimals are 5000…, and the digit before them is even: C's printf rounds such a tie down, JavaScript up. */
function cutTie(exact: string, digits: number): string | undefined {
  const end = exact.indexOf('.') + 1 + digits;
  const kept = exact.slice(0, end).replace(/\.$/, '');
  return /^50*$/.test(exact.slice(end)) && Number(kept.at(-1)) % 2 === 0 ? kept : undefined;
}

const signOf = (x: number): string => (x < 0 || Object.is(x, -0) ? '-' : '');

/** C's `%.{digits}f`. */
function fixed(x: number, digits: number): string {
  const magnitude = Math.abs(x);
  if (magnitude >= 1e21) return `${signOf(x)}${BigInt(magnitude)}${digits > 0 ? `.${'0'.repeat(digits)}` : ''}`;
  return signOf(x) + (cutTie(magnitude.toFixed(Math.min(100, digits + 60)), digits) ?? magnitude.toFixed(digits));
}

/** C's `%.{digits}e`: at least two digits of exponent. */
function exponential(x: number, digits: number): string {
  const magnitude = Math.abs(x);
  const [exact = '', exponent = ''] = magnitude.toExponential(Math.min(100, digits + 60)).split('e');
  const cut = cutTie(exact, digits);
  const [mantissa = '', power = ''] = cut === undefined ? magnitude.toExponential(digits).split('e') : [cut, exponent];
  return `${signOf(x)}${mantissa}e${power[0]}${power.slice(1).padStart(2, '0')}`;
}

interface Formatter {
  readonly width: number;
  format(value: number | bigint | boolean): string;
}

const special = (x: number): string => (Number.isNaN(x) ? 'nan' : x > 0 ? 'inf' : '-inf');

/** One width and one notation for all elements that are shown. */
function floatFormatter(values: readonly number[], options: PrintOptions): Formatter {
  const finite = values.filter((x) => Number.isFinite(x) && x !== 0);
  let scientific = false;
  let whole = true;
  if (finite.length > 0) {
    const magnitudes = finite.map(Math.abs);
    const least = magnitudes.reduce((a, b) => Math.min(a, b));
    const most = magnitudes.reduce((a, b) => Math.max(a, b));
    whole = finite.every(Number.isInteger);
    scientific = options.sci_mode ?? (most / least > 1000 || most > 1e8 || least < 1e-4);
  }
  const finiteText = (x: number): string =>
    scientific ? exponential(x, options.precision) : whole ? `${fixed(x, 0)}.` : fixed(x, options.precision);
  const text = (x: number): string => (Number.isFinite(x) ? finiteText(x) : special(x));
  const width = finite.reduce((w, x) => Math.max(w, text(x).length), 1);
  return { width, format: (value) => text(Number(value)).padStart(width) };
}

function plainFormatter(values: readonly (number | bigint | boolean)[]): Formatter {
  const text = (value: number | bigint | boolean): string =>
    typeof value === 'boolean' ? (value ? 'True' : 'False') : String(value);
  const width = values.reduce((w: number, x) => Math.max(w, text(x).length), 1);
  return { width, format: (value) => text(value).padStart(width) };
}

/** Flat indices of a dimension's shown entries; null is the gap. */
function shown(size: number, summarize: boolean, edge: number): (number | null)[] {
  const all = Array.from({ length: size }, (_, i) => i);
  if (!summarize || size <= 2 * edge) return all;
  return [...all.slice(0, edge), null, ...(edge === 0 ? [] : all.slice(-edge))];
}

/** Nested text of the elements: brackets, line breaks, gaps. */
function body(t: Printable, read: (index: number) => Element, indent: number, options: PrintOptions): string {
  const { shape } = t;
  const total = shape.reduce((a, b) => a * b, 1);
  const summarize = total > options.threshold;
  const strides = shape.map((_, d) => shape.slice(d + 1).reduce((a, b) => a * b, 1));
  const entries = shape.map((size) => shown(size, summarize, options.edgeitems));

  const visible: Element[] = [];
  const collect = (dim: number, offset: number): void => {
    if (dim === shape.length) visible.push(read(offset));
    else for (const i of entries[dim] ?? []) if (i !== null) collect(dim + 1, offset + i * (strides[dim] ?? 0));
  };
  collect(0, 0);

  const { width, format } = elementFormatter(t.dtype, visible, options);
  const perLine = Math.max(1, Math.floor((options.linewidth - indent - (shape.length - 1)) / (width + 2)));
  const write = (dim: number, offset: number, margin: number): string => {
    if (dim === shape.length) return format(read(offset));
    const own = entries[dim] ?? [];
    const stride = strides[dim] ?? 0;
    if (dim === shape.length - 1) {
      const cells = own.map((i) =>
        i === null ? (options.edgeitems === 0 ? '...' : ' ...') : format(read(offset + i * stride)),
      );
      const lines = Array.from({ length: Math.ceil(cells.length / perLine) }, (_, n) =>
        cells.slice(n * perLine, (n + 1) * perLine).join(', '),
      );
      return `[${lines.join(`,\n${' '.repeat(margin + 1)}`)}]`;
    }
    const rows = own.map((i) => (i === null ? '...' : write(dim + 1, offset + i * stride, margin + 1)));
    return `[${rows.join(`,${'\n'.repeat(shape.length - dim - 1)}${' '.repeat(margin + 1)}`)}]`;
  };
  return write(0, 0, indent);
}

function elementFormatter(
  dtype: DType,
  visible: readonly Element[],
  options: PrintOptions,
): { width: number; format: (value: Element) => string } {
  if (!isComplex(dtype)) {
    const values = visible as readonly (number | bigint | boolean)[];
    const one = isFloating(dtype) ? floatFormatter(values.map(Number), options) : plainFormatter(values);
    return { width: one.width, format: (value) => one.format(value as number) };
  }
  const complex = visible as readonly { re: number; im: number }[];
  const real = floatFormatter(
    complex.map((z) => z.re),
    options,
  );
  const imaginary = floatFormatter(
    complex.map((z) => z.im),
    options,
  );
  return {
    width: real.width + imaginary.width + 1,
    format: (value) => {
      const { re, im } = value as { re: number; im: number };
      const tail = `${imaginary.format(im)}j`.trimStart();
      return real.format(re) + (tail.startsWith('-') ? tail : `+${tail}`);
    },
  };
}

const pythonTuple = (sizes: readonly number[]): string => `(${sizes.join(', ')}${sizes.length === 1 ? ',' : ''})`;

/** The tensor as Python's `repr` writes it. */
export function formatTensor(t: Printable, options: PrintOptions = current): string {
  const { shape, dtype, data, defaultDtype = 'float32' } = t;
  const prefix = 'tensor(';
  const suffixes: string[] = [];
  if (t.device !== undefined && t.device !== 'cpu') suffixes.push(`device='${t.device}'`);
  const usual = [defaultDtype, defaultDtype === 'float64' ? 'complex128' : 'complex64', 'int64', 'bool'];
  const total = shape.reduce((a, b) => a * b, 1);
  let text: string;
  if (data === undefined) {
    suffixes.push(`size=${pythonTuple(shape)}`);
    if (dtype !== defaultDtype) suffixes.push(`dtype=torch.${dtype}`);
    text = '...';
  } else if (total === 0) {
    if (shape.length !== 1) suffixes.push(`size=${pythonTuple(shape)}`);
    if (dtype !== defaultDtype) suffixes.push(`dtype=torch.${dtype}`);
    text = '[]';
  } else {
    if (options.edgeitems === 0) suffixes.push(`size=${pythonTuple(shape)}`);
    if (!usual.includes(dtype)) suffixes.push(`dtype=torch.${dtype}`);
    const read = typeof data === 'function' ? data : (i: number): Element => data[i] as Element;
    text = body(t, read, prefix.length, options);
  }
  if (t.layout !== undefined && t.layout !== 'strided') suffixes.push(`layout=torch.${t.layout}`);
  if (t.grad_fn) suffixes.push(`grad_fn=<${t.grad_fn}>`);
  else if (t.requires_grad) suffixes.push('requires_grad=True');
  const whole = withSuffixes(prefix + text, suffixes, prefix.length, options.linewidth);
  return t.parameter ? `Parameter containing:\n${whole}` : whole;
}

/** Suffixes follow on the last line while they fit. */
function withSuffixes(text: string, suffixes: readonly string[], indent: number, linewidth: number): string {
  let result = text;
  let last = text.length - text.lastIndexOf('\n') + 1;
  for (const suffix of suffixes) {
    if (last + suffix.length + 2 > linewidth) {
      result += `,\n${' '.repeat(indent)}${suffix}`;
      last = indent + suffix.length;
    } else {
      result += `, ${suffix}`;
      last += suffix.length + 2;
    }
  }
  return `${result})`;
}
