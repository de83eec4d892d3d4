/** @file Reports that are read as text: String(report) and console.log(report) show their words, the fields are for programs. */
import { inspect } from 'node:util';

/** `fields` with a text, which `text` makes when it is asked for. */
export const withText = <T extends object>(fields: T, text: () => string): T & { toString(): string } =>
  Object.defineProperties(fields, { toString: { value: text }, [inspect.custom]: { value: text } });
