/** @file torch.optim */
import { Adadelta, Adagrad, RMSprop } from './accumulating.js';
import { Adafactor } from './adafactor.js';
import { Adam, AdamW } from './adam.js';
import { Adamax, NAdam, RAdam } from './adaptive.js';
import { Muon } from './muon.js';
import { ownOptimizers } from './optimizer.js';
import { ASGD, Rprop } from './other.js';
import { SGD } from './sgd.js';

export {
  Adadelta,
  type AdadeltaOptions,
  Adagrad,
  type AdagradOptions,
  RMSprop,
  type RMSpropOptions,
} from './accumulating.js';
export { Adafactor, type AdafactorOptions } from './adafactor.js';
export { Adam, type AdamOptions, AdamW } from './adam.js';
export { Adamax, type AdamaxOptions, NAdam, type NAdamOptions, RAdam, type RAdamOptions } from './adaptive.js';
export type { ParamGroup } from './group.js';
export { LBFGS, type LBFGSOptions } from './lbfgs.js';
export * as lr_scheduler from './lr-scheduler.js';
export { Muon, type MuonOptions } from './muon.js';
export { Optimizer, type OptimizerState } from './optimizer.js';
export { ASGD, type ASGDOptions, Rprop, type RpropOptions } from './other.js';
export { SGD, type SGDOptions } from './sgd.js';
export * as swa_utils from './swa-utils.js';

ownOptimizers(Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, ASGD, Muon, NAdam, RAdam, RMSprop, Rprop, SGD);
