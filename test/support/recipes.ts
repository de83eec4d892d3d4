/**
 * @file Calls as data: an operator's schema, and arguments for it of the right kinds but with the values that kernels forget: no elements, NaN, indices
 * out of range, numbers at the ends of int64, tensors whose shapes and dtypes do not fit. Written down as JSON, so that a call that ends the process
 * can be found in another one, made smaller, and kept.
 */
import fc from 'fast-check';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';

export interface TensorRecipe {
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly fill: 'zeros' | 'ones' | 'ramp' | 'negative' | 'nan' | 'inf' | 'huge';
  readonly layout: 'dense' | 'transposed' | 'strided' | 'expanded';
  readonly grad?: true;
}
export type Argument =
  | { readonly tensor: TensorRecipe }
  | { readonly number: string }
  | { readonly list: readonly Argument[] }
  | { readonly value: string | boolean | null }
  | { readonly omitted: true };

export interface Recipe {
  /** Name and overload: `add.Tensor`, `relu.default`. */
  readonly operator: string;
  readonly args: readonly Argument[];
  readonly keywords: Readonly<Record<string, Argument>>;
}

const DTYPES = ['float32', 'float64', 'int64', 'bool', 'complex64', 'int32', 'uint8', 'bfloat16', 'float16', 'int8'];

const HUGE: Readonly<Record<string, number>> = { float64: 1e300, float16: 6e4 };

const numberOf = (text: string): number | bigint => (text.endsWith('n') ? BigInt(text.slice(0, -1)) : Number(text));

const filled = ({ shape, dtype, fill }: TensorRecipe): Tensor => {
  const count = shape.reduce((a, b) => a * b, 1);
  const ramp = (): Tensor => torch.arange(count, { dtype: 'float64' }).reshape([...shape]);
  const whole = /int|bool/.test(dtype);
  switch (fill) {
    case 'zeros':
      return torch.zeros([...shape], { dtype: dtype as 'float32' });
    case 'ones':
      return torch.ones([...shape], { dtype: dtype as 'float32' });
    case 'ramp':
      return ramp().to(dtype as 'float32');
    case 'negative':
      return ramp()
        .mul(-1.5)
        .sub(1)
        .to('int64')
        .to(dtype as 'float32');
    default: {
      const odd = fill === 'nan' ? Number.NaN : fill === 'inf' ? Number.NEGATIVE_INFINITY : (HUGE[dtype] ?? 1e38);
      const t = ramp().to(dtype as 'float32');
      if (count > 0)
        t.reshape([-1])
          .narrow(0, 0, 1)
          .fill_(whole ? (dtype === 'int64' ? 2n ** 62n : 1) : odd);
      return t;
    }
  }
};

export const makeTensor = (recipe: TensorRecipe): Tensor => {
  const { shape, layout } = recipe;
  let t: Tensor;
  if (layout === 'transposed' && shape.length > 1)
    t = filled({ ...recipe, shape: shape.toReversed() }).permute(shape.map((_, i) => shape.length - 1 - i));
  else if (layout === 'strided' && shape.length > 0) {
    const twice = filled({ ...recipe, shape: [...shape.slice(0, -1), 2 * shape.at(-1)!] });
    t = twice.unflatten(-1, [shape.at(-1)!, 2]).select(-1, 1);
  } else if (layout === 'expanded' && shape.length > 0)
    t = filled({ ...recipe, shape: [1, ...shape.slice(1)] }).expand([...shape]);
  else t = filled(recipe);
  return recipe.grad && (t.is_floating_point() || t.is_complex()) ? t.detach().requires_grad_(true) : t;
};

const make = (argument: Argument): unknown => {
  if ('tensor' in argument) return makeTensor(argument.tensor);
  if ('number' in argument) return numberOf(argument.number);
  if ('list' in argument) return argument.list.map(make);
  if ('value' in argument) return argument.value;
  return undefined;
};

/** Bits of a tensor's elements, with its type, for comparisons. */
const bits = (t: Tensor): string => {
  const plain = t.detach().resolve_conj().resolve_neg();
  return `${t.dtype} [${t.shape}] ${(plain.is_complex() ? torch.view_as_real(plain) : plain).toTypedArray()}`;
};

const tensorsOf = (value: unknown): Tensor[] =>
  torch.is_tensor(value) ? [value as Tensor] : Array.isArray(value) ? value.flatMap(tensorsOf) : [];

/** Running statistics are updated by kernels whose schemas do not say so. */
const isRead = (argument: SchemaArgument | undefined): boolean =>
  argument?.writes === false && !argument.name.startsWith('running_');

export type Outcome = 'result' | 'refused';

type Call = (...args: unknown[]) => unknown;

/** The call inside a compiled function whose arguments are its tensors. */
const compiled =
  (call: Call): Call =>
  (...args) => {
    const keywords = args.at(-1) as Record<string, unknown>;
    const tensors = [...new Set(tensorsOf([...args, ...Object.values(keywords)]))];
    const fast = torch.compile((twins: Tensor[]): Tensor[] => {
      const twin = (value: unknown): unknown => {
        if (torch.is_tensor(value)) return twins[tensors.indexOf(value as Tensor)];
        return Array.isArray(value) ? value.map(twin) : value;
      };
      const named = Object.fromEntries(Object.entries(keywords).map(([key, value]) => [key, twin(value)]));
      return tensorsOf(call(...args.slice(0, -1).map(twin), named));
    });
    try {
      return fast(tensors);
    } finally {
      fast.dispose();
    }
  };

interface Performed {
  readonly outcome: Outcome;
  /** Dtypes and shapes of what came out. */
  readonly types: string;
}

const performAs = (recipe: Recipe, schema: Schema, how: (call: Call) => Call): Performed => {
  const [name, overload] = recipe.operator.split('.') as [string, string];
  const args = recipe.args.map(make);
  const keywords = Object.fromEntries(Object.entries(recipe.keywords).map(([key, value]) => [key, make(value)]));
  const read = args.flatMap((value, i) => (isRead(schema.args[i]) ? tensorsOf(value) : []));
  const before = read.map(bits);
  let performed: Performed = { outcome: 'refused', types: '' };
  try {
    const result = tensorsOf(how((...given) => torch.ops['aten']![name]![overload]!(...given))(...args, keywords));
    performed = { outcome: 'result', types: result.map((t) => `${t.dtype} [${t.shape}]`).join(', ') };
  } catch (error) {
    if (!torch.isJorchError(error)) throw new Error(`another kind of error: ${(error as Error)?.stack ?? error}`);
    if (error.message.trim() === '') throw new Error('an error without words');
  }
  read.forEach((t, i) => {
    if (bits(t) !== before[i]) throw new Error(`argument ${i} was ${before[i]}, is ${bits(t)}`);
  });
  return performed;
};

/**
 * Makes the call. An error has to be JorchError with words, and arguments that the schema does not let the operator write to have to be as before.
 * @throws Error saying what is wrong
 */
export const perform = (recipe: Recipe, schema: Schema): Outcome => performAs(recipe, schema, (call) => call).outcome;

/** The same inside a compiled function; what comes out has to be of eager's dtypes and shapes. */
export const performCompiled = (recipe: Recipe, schema: Schema): Outcome => {
  const eager = performAs(recipe, schema, (call) => call);
  const fast = performAs(recipe, schema, compiled);
  if (eager.outcome === 'result' && fast.outcome === 'result' && eager.types !== fast.types)
    throw new Error(`compiled: ${fast.types}; eager: ${eager.types}`);
  return fast.outcome;
};

// Schemas.

interface SchemaArgument {
  readonly name: string;
  readonly type: string;
  readonly writes: boolean;
  readonly hasDefault: boolean;
  readonly keyword: boolean;
}
export interface Schema {
  readonly operator: string;
  readonly args: readonly SchemaArgument[];
}

/** `aten::add.Tensor(Tensor self, …) -> Tensor` in parts. */
export const parseSchema = (text: string): Schema | undefined => {
  const head = /^aten::(\w+)(?:\.(\w+))?\((.*)\) -> /s.exec(text);
  if (!head) return undefined;
  const args: SchemaArgument[] = [];
  let keyword = false;
  // Commas inside brackets belong to defaults and to alias sets.
  for (const part of head[3]!.split(/, (?![^[(]*[\])])/).filter((p) => p !== '')) {
    if (part === '*') {
      keyword = true;
      continue;
    }
    const found = /^([^ (]+)(\([^)]*\))?(\S*) (\w+)(=.*)?$/s.exec(part);
    if (!found) return undefined;
    args.push({
      type: found[1]! + found[3]!,
      writes: found[2]?.includes('!') ?? false,
      name: found[4]!,
      hasDefault: found[5] !== undefined,
      keyword,
    });
  }
  return { operator: `${head[1]}.${head[2] ?? 'default'}`, args };
};

// Arguments. Sizes are tiny, or so large that no machine has them: nothing between, which would only be slow.

const small = fc.integer({ min: -3, max: 5 }).map(String);
const ends = fc.constantFrom(
  '9007199254740992',
  '9223372036854775807n',
  '-9223372036854775808n',
  '4611686018427387904n',
  '-4611686018427387904n',
);
const integer = fc
  .oneof({ weight: 12, arbitrary: small }, { weight: 1, arbitrary: ends })
  .map((number): Argument => ({ number }));
const float = fc
  .constantFrom('0.5', '0', '1', '-1', '2', 'NaN', 'Infinity', '-Infinity', '1e308', '-0', '1e-300')
  .map((number): Argument => ({ number }));
const size = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 4 }) },
  { weight: 1, arbitrary: fc.constant(0) },
);
const shapes = fc.array(size, { maxLength: 4 });
const boolean = fc.boolean().map((value): Argument => ({ value }));
const none = fc.constant<Argument>({ value: null });

interface Common {
  readonly shape: readonly number[];
  readonly dtype: string;
}

const INDEX = /ind(ex|ices)|target|labels|offsets|length|perm|segment|rois|pivots|batch_sizes/;

const tensorFor = (name: string, { shape, dtype }: Common): fc.Arbitrary<Argument> =>
  fc
    .record({
      shape: fc.oneof(
        { weight: 6, arbitrary: fc.constant(shape) },
        { weight: 2, arbitrary: fc.constant(shape.slice(1)) },
        { weight: 2, arbitrary: fc.constant(shape.slice(0, 1)) },
        { weight: 1, arbitrary: fc.constant(shape.toReversed()) },
        { weight: 3, arbitrary: shapes },
      ),
      dtype: INDEX.test(name)
        ? fc.oneof({ weight: 5, arbitrary: fc.constant('int64') }, { weight: 1, arbitrary: fc.constantFrom(...DTYPES) })
        : fc.oneof({ weight: 8, arbitrary: fc.constant(dtype) }, { weight: 1, arbitrary: fc.constantFrom(...DTYPES) }),
      fill: fc.constantFrom('ramp', 'zeros', 'ones', 'negative', 'nan', 'inf', 'huge'),
      layout: fc.oneof(
        { weight: 4, arbitrary: fc.constant('dense' as const) },
        { weight: 1, arbitrary: fc.constantFrom('transposed' as const, 'strided' as const, 'expanded' as const) },
      ),
      grad: fc.constantFrom(undefined, undefined, undefined, true as const),
    })
    .map(({ grad, ...rest }) => ({ tensor: (grad ? { ...rest, grad } : rest) as TensorRecipe }));

const listOf = (element: fc.Arbitrary<Argument>, maxLength = 4): fc.Arbitrary<Argument> =>
  fc.array(element, { maxLength }).map((list) => ({ list }));

/** Words that some operator wants for a str. */
const WORDS = [
  'mean',
  'sum',
  'none',
  'linear',
  'reflect',
  'ij',
  'fro',
  'nuc',
  'trunc',
  'floor',
  'prod',
  'amax',
  'left',
  'V',
  'reduced',
  'tanh',
  '',
  'x',
];

const argumentFor = (type: string, name: string, common: Common): fc.Arbitrary<Argument> => {
  if (type.endsWith('?'))
    return fc.oneof(
      { weight: 1, arbitrary: none },
      { weight: 2, arbitrary: argumentFor(type.slice(0, -1), name, common) },
    );
  const list = /^(.*)\[\d*\]$/.exec(type);
  if (list) {
    const element = argumentFor(list[1]!, name, common);
    return /Int|int/.test(type)
      ? fc.oneof(
          { weight: 3, arbitrary: listOf(element) },
          { weight: 3, arbitrary: fc.constant<Argument>({ list: common.shape.map((n) => ({ number: String(n) })) }) },
          { weight: 1, arbitrary: element },
        )
      : listOf(element, 3);
  }
  switch (type) {
    case 'Tensor':
      return tensorFor(name, common);
    case 'int':
    case 'SymInt':
      return integer;
    case 'float':
      return float;
    case 'Scalar':
      return fc.oneof(integer, float, boolean);
    case 'bool':
      return boolean;
    case 'str':
      return fc.constantFrom(...WORDS).map((value): Argument => ({ value }));
    case 'ScalarType':
      return fc.constantFrom(...DTYPES).map((value): Argument => ({ value }));
    case 'MemoryFormat':
      return fc
        .constantFrom('contiguous_format', 'preserve_format', 'channels_last')
        .map((value): Argument => ({ value }));
    case 'Layout':
      return fc.constantFrom('strided', 'sparse_coo').map((value): Argument => ({ value }));
    default:
      return none;
  }
};

/** Calls of one operator. */
export const recipesFor = (schema: Schema): fc.Arbitrary<Recipe> =>
  fc
    .record({ shape: shapes, dtype: fc.constantFrom('float32', 'float32', 'float32', 'float64', ...DTYPES) })
    .chain((common) => {
      const one = (argument: SchemaArgument): fc.Arbitrary<Argument> => {
        const given = argumentFor(argument.type, argument.name, common);
        return argument.hasDefault ? fc.oneof(fc.constant<Argument>({ omitted: true }), given) : given;
      };
      return fc.record({
        operator: fc.constant(schema.operator),
        args: fc.tuple(...schema.args.filter((a) => !a.keyword).map(one)),
        keywords: fc.record(Object.fromEntries(schema.args.filter((a) => a.keyword).map((a) => [a.name, one(a)]))),
      });
    });
