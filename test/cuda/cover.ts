/** @file Few programs that together hold every rule. */
import { type Program, weight } from './programs.js';

/** For each rule the `each` lightest programs that have it; programs that need libtorch are never among them. */
export const cover = (programs: readonly Program[], each: number): Program[] => {
  const byWeight = programs.filter(({ calls }) => calls.length === 0).sort((a, b) => weight(a.text) - weight(b.text));
  const count = new Map<string, number>();
  return byWeight.filter(({ rules }) => {
    if (rules.every((rule) => (count.get(rule) ?? 0) >= each)) return false;
    for (const rule of rules) count.set(rule, (count.get(rule) ?? 0) + 1);
    return true;
  });
};
