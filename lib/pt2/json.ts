/** @file JSON as torch.export writes it: integers of 64 bits, and every field looked at before it is used. */
import { bad } from '../io/file.js';

export type Fields = Readonly<Record<string, unknown>>;

/** Whole numbers that a double cannot hold become bigints. */
export const parseJson = (path: string, name: string, text: string): unknown => {
  try {
    const marked = text.replace(/"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g, (token) =>
      /^-?\d{16,}$/.test(token) && !Number.isSafeInteger(Number(token)) ? `{"bigint":"${token}"}` : token,
    );
    return JSON.parse(marked, (_, value: unknown) => {
      const { bigint } = (value ?? {}) as { bigint?: unknown };
      return typeof bigint === 'string' && /^-?\d{1,40}$/.test(bigint) ? BigInt(bigint) : value;
    });
  } catch (error) {
    return bad(path, `'${name}' is damaged: ${(error as Error).message}`);
  }
};

/** Reads fields out of parsed JSON; `path` is the file's, for messages. */
export class JsonReader {
  constructor(readonly path: string) {}
  damaged(what: string): never {
    return bad(this.path, `is damaged: ${what}`);
  }
  object(value: unknown, what: string): Fields {
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Fields)
      : this.damaged(`${what} is no object`);
  }
  list(value: unknown, what: string): readonly unknown[] {
    return Array.isArray(value) ? (value as unknown[]) : this.damaged(`${what} is no list`);
  }
  text(value: unknown, what: string): string {
    return typeof value === 'string' ? value : this.damaged(`${what} is no text`);
  }
  size(value: unknown, what: string): number {
    return Number.isSafeInteger(value) && (value as number) >= 0
      ? (value as number)
      : this.damaged(`${what} is no size but ${String(value)}`);
  }
  /** A union: an object with one field. */
  union(value: unknown, what: string): readonly [kind: string, value: unknown] {
    const entries = Object.entries(this.object(value, what));
    return entries.length === 1 ? entries[0]! : this.damaged(`${what} says ${entries.length} things`);
  }
}
