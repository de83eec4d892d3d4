/** @file torch.amp */
export { autocast, is_autocast_available } from '../torch/modes.js';
export { GradScaler, type GradScalerOptions, type GradScalerState } from './grad-scaler.js';
