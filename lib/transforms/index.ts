/** @file torch.func. */
export { jvp, linearize } from './forward.js';
export { functional_call, stack_module_state } from './functional-call.js';
export { hessian, type JacobianOptions, jacfwd, jacrev } from './jacobian.js';
export { type GradOptions, grad, grad_and_value, type VjpFunction, vjp } from './reverse.js';
export { type Dims, type VmapOptions, vmap } from './vmap.js';
