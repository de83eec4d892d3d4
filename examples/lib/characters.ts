/** @file A text as numbers of its characters, and random windows of it. */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';

export class Characters {
  private readonly numbers: ReadonlyMap<string, number>;
  /** @param alphabet every character once; a character's number is its place. */
  constructor(readonly alphabet: readonly string[]) {
    this.numbers = new Map(alphabet.map((c, i) => [c, i]));
  }
  static of(text: string): Characters {
    return new Characters([...new Set(text)].sort());
  }
  /** int64 [number of characters]; those outside the alphabet are left out. */
  encode(text: string): Tensor {
    const numbers = [...text].map((c) => this.numbers.get(c)).filter((n) => n !== undefined);
    return torch.tensor(BigInt64Array.from(numbers, BigInt));
  }
  decode(tokens: Tensor): string {
    return [...tokens.toTypedArray()].map((n) => this.alphabet[Number(n)]).join('');
  }
}

/** `rows` random windows of `length` tokens, and the same moved on by one: what follows each token. */
export function windows(tokens: Tensor, rows: number, length: number): [x: Tensor, y: Tensor] {
  const starts = torch.randint(0, tokens.shape[0] - length, [rows, 1]);
  const places = starts.add(torch.arange(length));
  return [tokens.at(places), tokens.at(places.add(1))];
}
