/** @file Window functions and ranges made inside a program, without ATen calls. */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { agree } from './table.js';

const dtype = 'float64';
const LENGTHS = [0, 1, 2, 5, 8];

const WINDOWS: Readonly<Record<string, (n: number) => Tensor[]>> = {
  bartlett: (n) => [torch.bartlett_window(n, { dtype }), torch.bartlett_window(n, false)],
  hann: (n) => [
    torch.hann_window(n, { dtype }),
    torch.hann_window(n, false),
    torch.hann_window(n, { dtype: 'float32' }),
  ],
  hamming: (n) => [
    torch.hamming_window(n, { dtype }),
    torch.hamming_window(n, false),
    torch.hamming_window(n, true, 0.6),
    torch.hamming_window(n, false, 0.6, 0.3, { dtype }),
  ],
  blackman: (n) => [torch.blackman_window(n, { dtype }), torch.blackman_window(n, false)],
  kaiser: (n) => [
    torch.kaiser_window(n, { dtype }),
    torch.kaiser_window(n, false),
    torch.kaiser_window(n, true, 3.5, { dtype }),
  ],
};

describe('lowering: windows', () => {
  for (const [name, make] of Object.entries(WINDOWS)) {
    it(`${name}: periodic, symmetric, of no, one and more elements`, () => {
      for (const n of LENGTHS) agree(`${name} of ${n}`, () => make(n), [], { atol: 1e-6 });
    });
  }
});

describe('lowering: ranges', () => {
  it('range has both its ends', () => {
    agree('float', () => [torch.range(1, 4), torch.range(1, 4, 0.5, { dtype }), torch.range(3, -3, -1.5)], []);
    agree('integer', () => torch.range(1, 9, 2, { dtype: 'int64' }), []);
  });

  it('frequencies of transforms of even and odd length', () => {
    for (const n of [1, 2, 5, 6])
      agree(`${n}`, () => [torch.fft.fftfreq(n), torch.fft.fftfreq(n, 0.25, { dtype }), torch.fft.rfftfreq(n, 2)], []);
  });
});
