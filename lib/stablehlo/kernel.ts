/**
 * @file Functions that XLA's CPU backend compiles to one kernel, on one thread: all of their operations, loops among them, but no calls, sorts, scatters, convolutions
 * and transforms. Nor what it would hand to YNNPACK: large products and sums stay outside, or YNNPACK is switched off for the program.
 *
 * Every parameter must be read by what is left when XLA is done with the function, or the compiler ends the process. Parameters come as one tuple therefore, of which
 * one element is also returned, so that something of it is read for sure.
 */
import { names, numel, type Op, typesOf } from './types.js';

const ONE_KERNEL = 'mhlo.frontend_attributes = {inlineable = "false", xla_cpu_small_call = "true"}';

/** Whether a program has such a function. */
export const hasKernels = (text: string): boolean => text.includes(ONE_KERNEL);

/** The parameter to return too: the smallest with elements, of which XLA knows that they are nothing; -1 where there is none. */
export const witnessOf = (parameters: readonly Op[]): number => {
  let best = -1;
  parameters.forEach(({ shape }, i) => {
    const n = numel(shape);
    if (n > 0 && (best < 0 || n < numel(parameters[best]!.shape))) best = i;
  });
  return best;
};

/** The lines of the function; `returned` ends with the witness. */
export const kernelFunction = (
  name: string,
  parameters: readonly Op[],
  lines: readonly string[],
  returned: readonly Op[],
): readonly string[] => {
  const tuple = `tuple<${typesOf(parameters)}>`;
  return [
    `func.func private @${name}(%operands: ${tuple}) -> (${typesOf(returned)}) {`,
    ...parameters.map((p, i) => `${p.name} = stablehlo.get_tuple_element %operands[${i}] : (${tuple}) -> ${p.type}`),
    ...lines,
    `return ${names(returned)} : ${typesOf(returned)}`,
    '}',
  ];
};

/** The call of it with a packed tuple. */
export const kernelCall = (name: string, packed: string, tuple: string, returned: readonly Op[]): string =>
  `func.call @${name}(${packed}) {${ONE_KERNEL}} : (${tuple}) -> (${typesOf(returned)})`;

/** A whole program as one kernel: the lines of its main function, and of the function. */
export const wholeKernel = (
  parameters: readonly Op[],
  lines: readonly string[],
  results: readonly Op[],
): { readonly main: readonly string[]; readonly function: readonly string[] } => {
  const tuple = `tuple<${typesOf(parameters)}>`;
  const returned = [...results, parameters[witnessOf(parameters)]!];
  return {
    main: [
      `%packed = stablehlo.tuple ${names(parameters)} : ${tuple}`,
      `%whole:${returned.length} = ${kernelCall('whole', '%packed', tuple, returned)}`,
      `return ${results.map((_, i) => `%whole#${i}`).join(', ')} : ${typesOf(results)}`,
      '}',
    ],
    function: kernelFunction('whole', parameters, lines, returned),
  };
};
