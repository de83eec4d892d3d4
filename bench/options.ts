/** @file The benches' command lines: `--help` says what there is, anything else that is not there is an error in one line. */
import { existsSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';

export const positive = (text: string): number => {
  const value = Number(text);
  if (!(value > 0 && value < Number.POSITIVE_INFINITY)) throw new InvalidArgumentError('It must be a number above 0.');
  return value;
};

export const count = (text: string): number => {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It must be a whole number above 0.');
  return Number(text);
};

/** A folder or an executable; a command with arguments names the executable first. */
export const existing = (text: string): string => {
  const [path = ''] = text.split(' ');
  if (path.includes('/') && !existsSync(path)) throw new InvalidArgumentError(`There is no ${path}.`);
  return text;
};

/** Words between commas, each one of `known`. */
export const among =
  (known: readonly string[]) =>
  (text: string): string => {
    for (const word of text.split(','))
      if (!known.includes(word)) throw new InvalidArgumentError(`There is no ${word}; there are ${known.join(', ')}.`);
    return text;
  };

/** Reads the command line: prints the help, or an error, and ends the process where it is no run. */
export const optionsOf = <T extends object>(command: Command): T =>
  command.allowExcessArguments(false).showHelpAfterError('(--help says what there is)').parse().opts<T>();
