/** @file The public names of optimisation. */
export {
  type LeastSquaresOptions,
  type LeastSquaresResult,
  least_squares,
  type RootOptions,
  type RootResult,
  root,
} from './least-squares.js';
export {
  type BoundsArgument,
  type CallbackInfo,
  type Jac,
  type Method,
  type MinimizeOptions,
  minimize,
  type OptimizeResult,
  type OptionsByMethod,
} from './minimize.js';
export { linePlot, type PlotOptions, type Series } from './plot.js';
