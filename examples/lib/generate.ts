/** @file Text from a decoder: one while_loop with a cache, one program when compiled; and the plain way to check it by. */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import type { Cache, GPT } from './gpt.js';

export interface Sampling {
  /** Logits are divided by it; 0 takes the likeliest token. Default 1. A tensor may change without recompilation. */
  readonly temperature?: number | Tensor;
  /** Only among the likeliest so many. */
  readonly topK?: number;
  /** A row that has produced this token repeats it; when every row has, generation ends. */
  readonly stop?: number;
}

/** Logits [N, vocabulary] to one token each, int64 [N]. */
export function pick(logits: Tensor, { temperature = 1, topK }: Sampling): Tensor {
  if (temperature === 0) return logits.argmax(-1);
  let likely = logits.div(temperature);
  if (topK !== undefined) {
    const [best] = likely.topk(Math.min(topK, likely.shape.at(-1)!));
    likely = likely.masked_fill(likely.lt(best.narrow(-1, -1, 1)), -Infinity);
  }
  return torch.multinomial(likely.softmax(-1), 1).squeeze(-1);
}

interface State {
  readonly tokens: Tensor;
  readonly position: Tensor;
  readonly logits: Tensor;
  readonly cache: Cache;
}

/** `prompt` int64 [N, L] and `length` tokens more, int64 [N, L + length]; filled up with `stop` where it ended earlier. */
export function generate(model: GPT, prompt: Tensor, length: number, sampling: Sampling = {}): Tensor {
  const [rows, before] = prompt.shape;
  const { stop } = sampling;
  const last = before + length;
  if (before === 0 || last > model.options.context)
    throw new Error(`${before} tokens and ${length} more do not fit into ${model.options.context} positions`);
  return torch.no_grad(() => {
    const [logits, cache] = model.begin(prompt);
    const start: State = {
      tokens: torch.cat([prompt, torch.full([rows, length], stop ?? 0, { dtype: 'int64' })], 1),
      position: torch.tensor(BigInt(before)),
      logits,
      cache,
    };
    const newest = ({ tokens, position }: State): Tensor =>
      tokens.index_select(1, position.sub(1).reshape([1])).squeeze(1);
    const goesOn = (s: State): Tensor => {
      const inside = s.position.lt(last);
      if (stop === undefined) return inside;
      return inside.logical_and(s.position.eq(before).logical_or(newest(s).ne(stop).any()));
    };
    const next = (s: State): [State] => {
      let token = pick(s.logits, sampling);
      if (stop !== undefined) {
        const ended = s.position.gt(before).logical_and(newest(s).eq(stop));
        token = torch.where(ended, torch.full_like(token, stop), token);
      }
      const [after, kept] = model.step(token, s.position, s.cache);
      const tokens = s.tokens.index_copy(1, s.position.reshape([1]), token.unsqueeze(1));
      return [{ tokens, position: s.position.add(1), logits: after, cache: kept }];
    };
    const [{ tokens }] = torch.while_loop(goesOn, next, [start]) as [State];
    return tokens;
  });
}

/** The likeliest continuation without cache and without loop operators: the whole text through the model for every token. */
export function generatePlainly(model: GPT, prompt: Tensor, length: number): Tensor {
  return torch.no_grad(() => {
    let tokens = prompt;
    for (let i = 0; i < length; i++) {
      const logits = model.forward(tokens).select(1, -1);
      tokens = torch.cat([tokens, logits.argmax(-1, true)], 1);
    }
    return tokens;
  });
}
