/** @file XLA's options for one program on the CPU, from what is in it. The measurements are in docs/PERFORMANCE.md. */
import type { Lowered } from '../lowering/index.js';
import type { XlaOptions } from '../native.js';
import { hasKernels } from '../stablehlo/kernel.js';

/**
 * Options that differ from XLA's defaults. They are part of the program's key in the persistent cache.
 *
 * - YNNPACK takes convolutions as well, which XLA's own code runs up to three times as fast: it is left the reductions and single products.
 * - Nor does it share one kernel with what XLA emits itself.
 * - Functions written out as arithmetic are bound by latency: vectors of 512 bits give 1.2 to 1.6 times the speed where the machine has them.
 */
export const xlaOptions = ({
  text,
  arithmetic,
  partition,
}: Pick<Lowered, 'text' | 'arithmetic' | 'partition'>): XlaOptions =>
  partition?.mesh.device_type === 'cuda' ? {} : forCpu(text, arithmetic);

const forCpu = (text: string, arithmetic: boolean): XlaOptions => ({
  ...(text.includes('stablehlo.convolution') && {
    xla_cpu_experimental_ynn_fusion_type: 'LIBRARY_FUSION_TYPE_REDUCE,LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT',
  }),
  ...(hasKernels(text) && { xla_cpu_experimental_ynn_fusion_type: 'LIBRARY_FUSION_TYPE_INVALID' }),
  ...(arithmetic && { xla_cpu_prefer_vector_width: 512 }),
});
