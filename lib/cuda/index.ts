/** @file torch.cuda, and which devices there are. */
import './operator.js';
import { findCuda, hasNvidiaDevice } from '../runtime/locate-cuda.js';
import { type Device, device } from '../torch/device.js';

/** Whether there is an NVIDIA GPU with its driver, and everything that computing on it needs; `npx jorch doctor` says what is missing. */
export const is_available = (): boolean => {
  if (!hasNvidiaDevice()) return false;
  const { plugin, toolkit, missing } = findCuda();
  return plugin !== undefined && toolkit !== undefined && missing.length === 0;
};

/** How many devices can be computed on: one at most today. */
export const device_count = (): number => (is_available() ? 1 : 0);

/** The devices of this machine. */
export const devices = (): Device[] => [device('cpu'), ...(is_available() ? [device('cuda:0')] : [])];
