/** @file How a process, or a worker of it, may end on its own. */

/** Ends that the fixtures of `test/lifetime` and `test/stress` are told by name. */
export const ends: Readonly<Record<string, () => void>> = {
  return: () => {},
  exit: () => process.exit(7),
  throw: () => {
    throw new Error('on purpose');
  },
  rejection: () => void Promise.reject(new Error('on purpose')),
  SIGTERM: () => {
    process.kill(process.pid, 'SIGTERM');
    setTimeout(() => {}, 10_000);
  },
};
