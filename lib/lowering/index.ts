/** @file Loads every family of rules; the order does not matter, a rule registered twice throws. */
import './pointwise.js';
import './compare.js';
import './activation.js';
import './view.js';
import './rearrange.js';
import './factory.js';
import './reduction.js';
import './matmul.js';
import './scan.js';
import './normalisation.js';
import './loss.js';
import './convolution.js';
import './indexing.js';
import './scatter.js';
import './sort.js';
import './pooling.js';
import './linalg.js';
import './ldl.js';
import './attention.js';
import './distance.js';
import './fft.js';
import './pad.js';
import './resize.js';
import './special.js';
import './polynomial.js';
import './decompositions.js';
import './grid-sample.js';
import './embedding-bag.js';
import './incomplete-gamma.js';
import './histogram.js';
import './random.js';
import './segment.js';
import './fractional-pool.js';
import './ctc.js';
import './window.js';

export { bodiesOf, canFail, checkedOps, findCheck } from './checks.js';
export { isRandom } from './draws.js';
export { checkOperands, liveInputs, liveNodes, valuesIn } from './live-nodes.js';
export {
  type AtenCall,
  type Check,
  type Donation,
  type Lowered,
  type LoweredPartition,
  LoweringError,
  type LowerOptions,
  lower,
} from './lower.js';
export { NoLowering, ruleNames } from './registry.js';
