/** @file XLA's options per program, and that programs on disk are told apart by them. */
import assert from 'node:assert/strict';
import { placeOf } from '../../lib/compile/place.js';
import { xlaOptions } from '../../lib/compile/xla-options.js';
import { deviceNumber } from '../../lib/cuda/devices.js';
import * as torch from '../../lib/index.js';
import { compile, type Tensor } from '../../lib/index.js';
import type { XlaOptions } from '../../lib/native.js';

describe('XLA options per program', () => {
  it('follow what is in the program', () => {
    const text = (f: (x: Tensor) => Tensor, x: Tensor): string => compile(f, { optimize: 'xla' }).lower(x).stablehlo;
    const plain = text((x) => x.exp().add(1), torch.ones([64]));
    assert.deepEqual(xlaOptions({ text: plain, arithmetic: false }), {});
    const weight = torch.ones([4, 1, 3, 3]);
    const convolution = text((x) => torch.nn.functional.conv2d(x, weight), torch.ones([2, 1, 8, 8]));
    assert.deepEqual(Object.keys(xlaOptions({ text: convolution, arithmetic: false })), [
      'xla_cpu_experimental_ynn_fusion_type',
    ]);
    assert.deepEqual(xlaOptions({ text: plain, arithmetic: true }), { xla_cpu_prefer_vector_width: 512 });
  });

  it('are accepted by the compiler, with right results', () => {
    const [x, w] = [torch.randn([2, 3, 16, 16]), torch.randn([4, 3, 3, 3])];
    const f = (a: Tensor, b: Tensor): Tensor => torch.nn.functional.conv2d(a.sin(), b, { padding: 1 }).cos();
    const error = compile(f, { optimize: 'xla' })(x, w).sub(f(x, w)).abs().max();
    assert.ok(Number(error.item()) < 1e-4);
  });

  it('and the device are part of the key in the persistent cache', function () {
    const program = { text: 'module @m {}', arithmetic: false };
    const key = (options: XlaOptions, device = 0): string | undefined => {
      const { executables, options: all } = placeOf(program, options, device);
      return executables.key(program.text, all)?.toString('hex');
    };
    if (key({}) === undefined) this.skip();
    const keys = [{}, { xla_cpu_prefer_vector_width: 512 }, { xla_cpu_prefer_vector_width: 256 }].map((o) => key(o));
    assert.equal(new Set([...keys, key({}, deviceNumber('xla'))]).size, 4);
  });
});
