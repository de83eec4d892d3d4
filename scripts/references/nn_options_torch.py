"""Options of layers one by one (masks of attention, modes of EmbeddingBag and Upsample, reductions of losses, directions of RNNs), for
test/nn/options.test.ts. Parameters are sin(1), sin(2), … in the order of the state dict, halved; float64.

    python scripts/references/nn_options_torch.py > test/data/nn-options-torch.json
"""
import json
import warnings

import torch
from torch import nn

warnings.filterwarnings("ignore")
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
cases = []


def number(v):
    return v if isinstance(v, (bool, int)) else str(v) if v != v or abs(v) == float("inf") else float(f"{v:.12g}")


def data(v):
    """Tensors as dtype, shape and numbers; infinities and NaN as text."""
    if isinstance(v, torch.Tensor):
        return {"dtype": str(v.dtype)[6:], "shape": list(v.shape), "data": [number(e) for e in v.reshape(-1).tolist()]}
    if isinstance(v, (tuple, list)):
        return [data(e) for e in v]
    return {k: data(e) for k, e in v.items()} if isinstance(v, dict) else v


def rounded(v):
    if isinstance(v, torch.Tensor) and v.is_floating_point():
        return (v * 1000).round() / 1000
    if isinstance(v, (tuple, list)):
        return [rounded(e) for e in v]
    return {k: rounded(e) for k, e in v.items()} if isinstance(v, dict) else v


def C(name, cls, args, kw, inputs, call={}, train=False):
    kw, inputs, call = rounded(kw), rounded(inputs), rounded(call)
    m = getattr(nn, cls)(*args, **kw).train(train)
    with torch.no_grad():
        k = 1
        for p in m.parameters():
            p.copy_(torch.arange(k, k + p.numel()).sin().reshape(p.shape) / 2)
            k += p.numel()
        out = m(*inputs, **call)
    cases.append({"name": name, "cls": cls, "args": args, "kw": data(kw), "inputs": data(inputs), "call": data(call), "out": data(out), "train": train})


q, k, v = (torch.randn(5, 2, 8), torch.randn(6, 2, 8), torch.randn(6, 2, 8))
pad = torch.tensor([[0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 1]]).bool()
am = torch.randn(5, 6)
amb = torch.rand(5, 6) > 0.7
amb[:, 0] = False
C('mha', 'MultiheadAttention', [8, 2], {}, [q, k, v])
C('mha pad', 'MultiheadAttention', [8, 2], {}, [q, k, v], dict(key_padding_mask=pad))
C('mha padf', 'MultiheadAttention', [8, 2], {}, [q, k, v], dict(key_padding_mask=torch.randn(2, 6)))
C('mha am', 'MultiheadAttention', [8, 2], {}, [q, k, v], dict(attn_mask=am))
C('mha amb', 'MultiheadAttention', [8, 2], {}, [q, k, v], dict(attn_mask=amb, key_padding_mask=pad))
C('mha am3', 'MultiheadAttention', [8, 2], {}, [q, k, v], dict(attn_mask=torch.randn(4, 5, 6)))
C('mha now', 'MultiheadAttention', [8, 2], {}, [q, k, v], dict(need_weights=False, attn_mask=am))
C('mha noavg', 'MultiheadAttention', [8, 2], {}, [q, k, v], dict(average_attn_weights=False))
C('mha kv', 'MultiheadAttention', [8, 2], dict(kdim=3, vdim=4), [q, torch.randn(6, 2, 3), torch.randn(6, 2, 4)])
C('mha biaskv', 'MultiheadAttention', [8, 2], dict(add_bias_kv=True, add_zero_attn=True), [q, k, v], dict(key_padding_mask=pad, attn_mask=am))
C('mha bf', 'MultiheadAttention', [8, 2], dict(batch_first=True, bias=False), [q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1)])
C('mha unb', 'MultiheadAttention', [8, 2], {}, [q[:, 0], k[:, 0], v[:, 0]], dict(attn_mask=am))
C('mha causal', 'MultiheadAttention', [8, 2], {}, [q, q, q], dict(is_causal=True, attn_mask=nn.Transformer.generate_square_subsequent_mask(5), need_weights=False))

for nf in (False, True):
    for act in ('relu', 'gelu'):
        C(f'enc {nf} {act}', 'TransformerEncoderLayer', [8, 2], dict(dim_feedforward=6, dropout=0.0, norm_first=nf, activation=act), [q], dict(src_mask=torch.randn(5, 5), src_key_padding_mask=torch.tensor([[0, 0, 0, 0, 1], [0, 0, 0, 1, 1]]).bool()), train=True)
        C(f'dec {nf} {act}', 'TransformerDecoderLayer', [8, 2], dict(dim_feedforward=6, dropout=0.0, norm_first=nf, activation=act, batch_first=True), [q.transpose(0, 1), k.transpose(0, 1)], dict(tgt_mask=nn.Transformer.generate_square_subsequent_mask(5), memory_key_padding_mask=pad, tgt_is_causal=True), train=True)
C('transformer', 'Transformer', [], dict(d_model=8, nhead=2, num_encoder_layers=1, num_decoder_layers=2, dim_feedforward=6, dropout=0.0), [k, q], dict(tgt_mask=nn.Transformer.generate_square_subsequent_mask(5), src_key_padding_mask=pad, memory_key_padding_mask=pad), train=True)
idx = torch.tensor([1, 2, 4, 5, 4, 3, 2, 0])
off = torch.tensor([0, 4, 5])

for mode in ('sum', 'mean', 'max'):
    C('bag ' + mode, 'EmbeddingBag', [7, 3], dict(mode=mode), [idx, off])
    C('bag2d ' + mode, 'EmbeddingBag', [7, 3], dict(mode=mode, padding_idx=2), [idx.reshape(2, 4)])
    C('bag last ' + mode, 'EmbeddingBag', [7, 3], dict(mode=mode, include_last_offset=True), [idx, torch.tensor([0, 4, 5, 8])])
C('bag w', 'EmbeddingBag', [7, 3], dict(mode='sum'), [idx, off, torch.randn(8)])
C('emb norm', 'Embedding', [7, 3], dict(padding_idx=1, max_norm=1.0, norm_type=1.0), [idx])
x4 = torch.randn(1, 2, 3, 4)

for mode in ('nearest', 'bilinear', 'bicubic', 'nearest-exact'):
    C('up ' + mode, 'Upsample', [], dict(scale_factor=2.0, mode=mode), [x4])
    C('ups ' + mode, 'Upsample', [], dict(size=[5, 7], mode=mode), [x4])
    if mode.startswith('bi'):
        C('upa ' + mode, 'Upsample', [], dict(size=[5, 7], mode=mode, align_corners=True), [x4])
C('up lin', 'Upsample', [], dict(scale_factor=1.5, mode='linear'), [x4[0]])
C('up tri', 'Upsample', [], dict(scale_factor=2.0, mode='trilinear'), [x4[None]])

for r in ('none', 'mean', 'sum'):
    a, b = (torch.randn(3, 4), torch.randn(3, 4))
    t = torch.tensor([1, 0, 3])
    s = torch.tensor([1.0, -1.0, 1.0])
    for cls, inp, kw in [('L1Loss', [a, b], {}), ('MSELoss', [a, b], {}), ('SmoothL1Loss', [a, b], dict(beta=0.5)), ('HuberLoss', [a, b], dict(delta=0.7)), ('BCELoss', [a.sigmoid(), b.sigmoid()], {}), ('BCEWithLogitsLoss', [a, b.sigmoid()], dict(pos_weight=torch.rand(4))), ('CrossEntropyLoss', [a, t], dict(label_smoothing=0.1, weight=torch.rand(4), ignore_index=0)), ('CrossEntropyLoss', [a, b.softmax(-1)], {}), ('NLLLoss', [a.log_softmax(-1), t], dict(weight=torch.rand(4))), ('KLDivLoss', [a.log_softmax(-1), b.softmax(-1)], {}), ('KLDivLoss', [a.log_softmax(-1), b.log_softmax(-1)], dict(log_target=True)), ('PoissonNLLLoss', [a, b.abs()], dict(log_input=True, full=True)), ('GaussianNLLLoss', [a, b, b.abs()], dict(full=True)), ('HingeEmbeddingLoss', [a, b.sign()], dict(margin=0.5)), ('CosineEmbeddingLoss', [a, b, s], dict(margin=0.2)), ('MarginRankingLoss', [a[:, 0], b[:, 0], s], dict(margin=0.2)), ('MultiLabelMarginLoss', [a, torch.tensor([[1, 0, -1, 2]] * 3)], {}), ('SoftMarginLoss', [a, b.sign()], {}), ('TripletMarginLoss', [a, b, a.flip(0)], dict(swap=True, p=1.0)), ('MultiLabelSoftMarginLoss', [a, (b > 0).double()], {}), ('MultiMarginLoss', [a, t], dict(p=2, margin=0.8)), ('CTCLoss', [torch.randn(6, 2, 4).log_softmax(-1), torch.tensor([[1, 2], [3, 1]]), torch.tensor([6, 5]), torch.tensor([2, 1])], dict(zero_infinity=True))]:
        C(cls + ' ' + r, cls, [], dict(reduction=r, **kw), inp)

for cls in ('RNN', 'LSTM', 'GRU'):
    C(cls + ' bi', cls, [3, 4], dict(num_layers=2, bidirectional=True, batch_first=True), [torch.randn(2, 5, 3)])
    C(cls + ' unb', cls, [3, 4], {}, [torch.randn(5, 3)])
C('LSTM proj', 'LSTM', [3, 4], dict(proj_size=2), [torch.randn(5, 2, 3)])
C('RNN relu', 'RNN', [3, 4], dict(nonlinearity='relu', bias=False), [torch.randn(5, 2, 3)])
C('fold', 'Fold', [[4, 5], [2, 2]], dict(dilation=1, padding=1, stride=2), [torch.randn(1, 8, 9)])
C('unfold', 'Unfold', [[2, 3]], dict(dilation=1, padding=1, stride=2), [x4])

for pm in ('zeros', 'reflect', 'replicate', 'circular'):
    C('conv ' + pm, 'Conv2d', [2, 4, 3], dict(padding=1, padding_mode=pm, groups=2, stride=2), [x4])
C('conv same', 'Conv1d', [3, 3, 3], dict(padding='same', dilation=2), [x4[0]])
C('convt', 'ConvTranspose2d', [2, 3, 3], dict(stride=2, padding=1, output_padding=1, dilation=2), [x4])
json.dump(cases, __import__('sys').stdout)
