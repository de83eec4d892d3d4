/**
 * @file A decoder-only transformer as in GPT-2 (Radford et al., 2019: norms first, GELU, learned positions, the output tied to the
 * embedding), for training (all positions at once) and for generating (one position at a time, keys and values of earlier ones kept).
 */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';

const { nn } = torch;
const F = nn.functional;

export interface GptOptions {
  readonly vocabulary: number;
  /** Positions at most. */
  readonly context: number;
  readonly width: number;
  readonly heads: number;
  readonly layers: number;
}

/** What attention keeps of the positions so far, for each layer: keys and values [N, heads, context, width / heads]. */
export interface Cache {
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
}

class Attention extends nn.Module {
  qkv: InstanceType<typeof nn.Linear>;
  out: InstanceType<typeof nn.Linear>;
  constructor(private readonly options: GptOptions) {
    super();
    this.qkv = new nn.Linear(options.width, 3 * options.width);
    this.out = new nn.Linear(options.width, options.width);
  }
  /** [N, L, width] to queries, keys and values [N, heads, L, width / heads]. */
  private project(x: Tensor): [q: Tensor, k: Tensor, v: Tensor] {
    const heads = this.qkv.forward(x).unflatten(-1, [3, this.options.heads, -1]);
    return heads.permute([2, 0, 3, 1, 4]).unbind(0) as unknown as [Tensor, Tensor, Tensor];
  }
  private join(y: Tensor): Tensor {
    return this.out.forward(y.transpose(1, 2).flatten(2));
  }
  override forward(x: Tensor): [y: Tensor, keys: Tensor, values: Tensor] {
    const [q, k, v] = this.project(x);
    return [this.join(F.scaled_dot_product_attention(q, k, v, null, 0, true)), k, v];
  }
  /** One more position: x [N, 1, width] at `position`, after those in `keys` and `values`. */
  step(x: Tensor, position: Tensor, keys: Tensor, values: Tensor): [y: Tensor, keys: Tensor, values: Tensor] {
    const [q, k, v] = this.project(x);
    const here = position.reshape([1]);
    const [allKeys, allValues] = [keys.index_copy(2, here, k), values.index_copy(2, here, v)];
    const past = torch.arange(this.options.context).le(position).reshape([1, 1, 1, -1]);
    return [this.join(F.scaled_dot_product_attention(q, allKeys, allValues, past)), allKeys, allValues];
  }
}

class Block extends nn.Module {
  norm1: InstanceType<typeof nn.LayerNorm>;
  attention: Attention;
  norm2: InstanceType<typeof nn.LayerNorm>;
  mlp: InstanceType<typeof nn.Sequential>;
  constructor(options: GptOptions) {
    super();
    const { width } = options;
    this.norm1 = new nn.LayerNorm(width);
    this.attention = new Attention(options);
    this.norm2 = new nn.LayerNorm(width);
    this.mlp = new nn.Sequential(new nn.Linear(width, 4 * width), new nn.GELU(), new nn.Linear(4 * width, width));
  }
  /** The block around what `attend` says of the normed input. */
  private around<K>(x: Tensor, attend: (normed: Tensor) => [y: Tensor, ...kept: K[]]): [y: Tensor, ...kept: K[]] {
    const [attended, ...kept] = attend(this.norm1.forward(x));
    const middle = x.add(attended);
    return [middle.add(this.mlp.forward(this.norm2.forward(middle))), ...kept];
  }
  override forward(x: Tensor): [y: Tensor, ...kept: Tensor[]] {
    return this.around(x, (normed) => this.attention.forward(normed));
  }
  step(x: Tensor, position: Tensor, keys: Tensor, values: Tensor): [y: Tensor, ...kept: Tensor[]] {
    return this.around(x, (normed) => this.attention.step(normed, position, keys, values));
  }
}

export class GPT extends nn.Module {
  tokens: InstanceType<typeof nn.Embedding>;
  positions: InstanceType<typeof nn.Embedding>;
  blocks: Block[];
  norm: InstanceType<typeof nn.LayerNorm>;
  constructor(readonly options: GptOptions) {
    super();
    const { vocabulary, context, width, layers } = options;
    this.tokens = new nn.Embedding(vocabulary, width);
    this.positions = new nn.Embedding(context, width);
    this.blocks = Array.from({ length: layers }, () => new Block(options));
    this.norm = new nn.LayerNorm(width);
    for (const [name, p] of this.named_parameters()) {
      if (name.endsWith('bias')) nn.init.zeros_(p);
      // What is added to the residual stream is the smaller, the more layers add to it.
      else if (/(out|mlp\.2)\.weight$/.test(name)) nn.init.normal_(p, 0, 0.02 / Math.sqrt(2 * layers));
      else if (p.ndim === 2) nn.init.normal_(p, 0, 0.02);
    }
  }
  private logits(x: Tensor): Tensor {
    return F.linear(this.norm.forward(x), this.tokens.weight);
  }
  private embed(tokens: Tensor, positions: Tensor): Tensor {
    return this.tokens.forward(tokens).add(this.positions.forward(positions));
  }

  /** Tokens int64 [N, L] to the logits of what follows each, float32 [N, L, vocabulary]. */
  override forward(tokens: Tensor): Tensor {
    const x = this.embed(tokens, torch.arange(tokens.shape[1]));
    return this.logits(this.blocks.reduce((y, block) => block.forward(y)[0], x));
  }

  /** A prompt int64 [N, L]: logits [N, vocabulary] of what follows, and a cache that holds it. */
  begin(tokens: Tensor): [logits: Tensor, cache: Cache] {
    const { context } = this.options;
    const room = (kept: Tensor): Tensor => F.pad(kept, [0, 0, 0, context - tokens.shape[1]]);
    const keys: Tensor[] = [];
    const values: Tensor[] = [];
    let x = this.embed(tokens, torch.arange(tokens.shape[1]));
    for (const block of this.blocks) {
      const [y, k, v] = block.forward(x);
      keys.push(room(k!));
      values.push(room(v!));
      x = y;
    }
    return [this.logits(x.select(1, -1)), { keys, values }];
  }

  /** One more token each, int64 [N], at `position` (int64, 0-d). */
  step(token: Tensor, position: Tensor, cache: Cache): [logits: Tensor, cache: Cache] {
    const keys: Tensor[] = [];
    const values: Tensor[] = [];
    let x = this.embed(token.unsqueeze(1), position.reshape([1]));
    for (const [i, block] of this.blocks.entries()) {
      const [y, k, v] = block.step(x, position, cache.keys[i]!, cache.values[i]!);
      keys.push(k!);
      values.push(v!);
      x = y;
    }
    return [this.logits(x.squeeze(1)), { keys, values }];
  }
}
