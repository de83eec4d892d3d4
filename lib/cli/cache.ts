/** @file `jorch cache`: what compiled programs are on disk. */
import { programsDir } from '../compile/cache-folder.js';
import { clearFolder, entriesOf } from '../compile/persistent.js';

export type Print = (line: string) => void;

export const sizeText = (bytes: number): string => {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
};

export const listCache = (print: Print): void => {
  const entries = entriesOf(programsDir());
  for (const { name, bytes, used } of entries)
    print(
      `${name.slice(0, 16)}  ${sizeText(bytes).padStart(10)}  ${used.toISOString().slice(0, 19).replace('T', ' ')}`,
    );
  const total = entries.reduce((sum, { bytes }) => sum + bytes, 0);
  print(`${entries.length} program${entries.length === 1 ? '' : 's'}, ${sizeText(total)} in ${programsDir()}`);
};

export const wipeCache = (print: Print): void => {
  const folder = programsDir();
  const count = clearFolder(folder);
  print(`removed ${count} program${count === 1 ? '' : 's'} from ${folder}`);
};
