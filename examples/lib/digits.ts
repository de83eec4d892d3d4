/**
 * @file 1 797 handwritten digits of 8×8 pixels (Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI, CC BY 4.0), as the
 * wheel of scikit-learn carries them, split as in scikit-learn's example "Recognizing hand-written digits": the first half to learn
 * from, the second, by other writers, to be tested on. A support vector machine reaches 97 % there.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { wheelFolder } from './wheel.js';

/** Accuracy of the support vector machine in scikit-learn's example (its classification report). */
export const KNOWN_ACCURACY = {
  value: 0.97,
  source: 'scikit-learn, "Recognizing hand-written digits", SVC(gamma=0.001)',
};

export interface Digits {
  /** float32 [n, 1, 8, 8] in 0 … 1 */
  readonly x: Tensor;
  /** int64 [n] */
  readonly y: Tensor;
}

export function loadDigits(): { train: Digits; test: Digits } {
  const folder = wheelFolder({
    name: 'scikit-learn',
    version: '1.9.1',
    sha256: '52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df',
    tags: [
      '--python-version',
      '3.11',
      '--implementation',
      'cp',
      '--abi',
      'cp311',
      '--platform',
      'manylinux_2_27_x86_64',
    ],
    unpack: ['sklearn/datasets/data/digits.csv.gz'],
  });
  const csv = gunzipSync(readFileSync(join(folder, 'sklearn/datasets/data/digits.csv.gz'))).toString();
  const rows = csv
    .trim()
    .split('\n')
    .map((row) => row.split(',').map(Number));
  const x = torch
    .tensor(rows.map((row) => row.slice(0, 64)))
    .div(16)
    .reshape([-1, 1, 8, 8]);
  const y = torch.tensor(rows.map((row) => BigInt(row[64]!)));
  const half = Math.floor(rows.length / 2);
  return {
    train: { x: x.at(`:${half}`), y: y.at(`:${half}`) },
    test: { x: x.at(`${half}:`), y: y.at(`${half}:`) },
  };
}
