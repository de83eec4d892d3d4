"""What PyTorch's layers compute: initial values, forward, gradients. Stored as test/data/nn-torch.json.

Each case names a class of torch.nn, its arguments, the inputs and how forward is called; jorch's test builds the same layer
after the same seed. The loss is sum(output * cos(0, 1, 2, ...)), over all tensors of the output.

    pip install torch==2.11.0 numpy
    python scripts/references/nn_torch.py > test/data/nn-torch.json
"""
import json
import warnings

import torch
from torch import nn

warnings.filterwarnings("ignore")
cases = []


def c(name, *args, inputs, kw=None, call=None, mode="train", target=None):
    cases.append(dict(name=name, args=list(args), kw=kw or {}, inputs=inputs, call=call or {}, mode=mode))


def r(*shape):
    return {"randn": list(shape)}


def ints(high, *shape):
    return {"randint": [high, list(shape)]}


def uniform(*shape):
    return {"rand": list(shape)}


c("Identity", inputs=[r(2, 3)])
c("Linear", 3, 4, inputs=[r(2, 3)])
c("Linear", 3, 4, kw={"bias": False, "dtype": "float64"}, inputs=[{"randn64": [2, 3]}])
c("Bilinear", 2, 3, 4, inputs=[r(5, 2), r(5, 3)])
c("Flatten", inputs=[r(2, 3, 2)])
c("Unflatten", 1, [2, 3], inputs=[r(2, 6)])
c("Conv1d", 2, 4, 3, inputs=[r(2, 2, 7)])
c("Conv1d", 4, 4, 3, kw={"stride": 2, "padding": 1, "groups": 2, "padding_mode": "circular"}, inputs=[r(1, 4, 8)])
c("Conv2d", 2, 3, 3, inputs=[r(2, 2, 5, 5)])
c("Conv2d", 2, 3, [3, 2], kw={"padding": "same", "dilation": [2, 1], "bias": False}, inputs=[r(1, 2, 5, 6)])
c("Conv2d", 2, 3, 3, kw={"padding": 1, "padding_mode": "reflect", "stride": 2}, inputs=[r(1, 2, 6, 6)])
c("Conv2d", 2, 3, 3, kw={"padding": "same", "padding_mode": "replicate"}, inputs=[r(1, 2, 5, 5)])
c("Conv3d", 1, 2, 2, inputs=[r(1, 1, 3, 4, 3)])
c("ConvTranspose1d", 2, 3, 3, kw={"stride": 2}, inputs=[r(2, 2, 4)])
c("ConvTranspose2d", 2, 4, 3, kw={"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}, inputs=[r(1, 2, 3, 3)])
c("ConvTranspose3d", 1, 2, 2, inputs=[r(1, 1, 2, 3, 2)])
for name, inplace in [("ReLU", 1), ("ReLU6", 1), ("SELU", 1), ("SiLU", 1), ("Mish", 1), ("Hardswish", 1), ("Hardsigmoid", 1), ("Sigmoid", 0), ("Tanh", 0), ("LogSigmoid", 0), ("Softsign", 0), ("Tanhshrink", 0), ("GELU", 0), ("Softplus", 0), ("Hardshrink", 0), ("Softshrink", 0)]:
    c(name, inputs=[r(3, 4)])
c("GELU", kw={"approximate": "tanh"}, inputs=[r(3, 4)])
c("Threshold", 0.1, 20, inputs=[r(3, 4)])
c("RReLU", inputs=[r(3, 4)], mode="eval")
c("Hardtanh", -1.5, 0.5, inputs=[r(3, 4)])
c("ELU", 0.5, inputs=[r(3, 4)])
c("CELU", 0.5, inputs=[r(3, 4)])
c("GLU", inputs=[r(3, 4)])
c("LeakyReLU", 0.2, inputs=[r(3, 4)])
c("Softplus", 2.5, 1.5, inputs=[r(3, 4)])
for name in ["Softmax", "Softmin", "LogSoftmax"]:
    c(name, 1, inputs=[r(3, 4)])
c("Softmax2d", inputs=[r(2, 3, 2, 2)])
c("PReLU", 3, 0.3, inputs=[r(2, 3, 4)])
c("Dropout", 0.3, inputs=[r(4, 5)], mode="eval")
c("MaxPool1d", 2, inputs=[r(1, 2, 7)])
c("MaxPool2d", [2, 3], kw={"stride": 1, "padding": 1, "ceil_mode": True}, inputs=[r(1, 2, 5, 6)])
c("MaxPool3d", 2, inputs=[r(1, 1, 4, 4, 4)])
c("AvgPool1d", 3, 2, inputs=[r(1, 2, 7)])
c("AvgPool2d", 2, kw={"padding": 1, "count_include_pad": False}, inputs=[r(1, 2, 5, 5)])
c("AvgPool2d", 2, kw={"divisor_override": 3}, inputs=[r(1, 2, 4, 4)])
c("AvgPool3d", 2, inputs=[r(1, 1, 4, 4, 4)])
c("LPPool1d", 2, 3, inputs=[uniform(1, 2, 7)])
c("LPPool2d", 2, 2, inputs=[uniform(1, 2, 4, 4)])
c("AdaptiveAvgPool1d", 3, inputs=[r(1, 2, 7)])
c("AdaptiveAvgPool2d", [2, None], inputs=[r(1, 2, 5, 4)])
c("AdaptiveAvgPool3d", 2, inputs=[r(1, 1, 4, 5, 3)])
c("AdaptiveMaxPool1d", 3, inputs=[r(1, 2, 7)])
c("AdaptiveMaxPool2d", 2, inputs=[r(1, 2, 5, 4)])
c("AdaptiveMaxPool3d", 2, inputs=[r(1, 1, 4, 5, 3)])
for dims, shape in [(1, (1, 2, 5)), (2, (1, 2, 4, 5)), (3, (1, 1, 3, 4, 3))]:
    c(f"ConstantPad{dims}d", 2, 3.5, inputs=[r(*shape)])
    for kind in ["ZeroPad", "ReflectionPad", "ReplicationPad", "CircularPad"]:
        c(f"{kind}{dims}d", 2, inputs=[r(*shape)])
c("Upsample", kw={"scale_factor": 2, "mode": "bilinear", "align_corners": False}, inputs=[r(1, 2, 3, 3)])
c("Upsample", kw={"size": [5, 4]}, inputs=[r(1, 2, 3, 3)])
c("UpsamplingNearest2d", kw={"scale_factor": 2}, inputs=[r(1, 2, 3, 3)])
c("UpsamplingBilinear2d", kw={"size": [5, 5]}, inputs=[r(1, 2, 3, 3)])
c("PixelShuffle", 2, inputs=[r(1, 8, 2, 2)])
c("PixelUnshuffle", 2, inputs=[r(1, 2, 4, 4)])
c("ChannelShuffle", 2, inputs=[r(1, 4, 2, 2)])
c("Unfold", [2, 2], inputs=[r(1, 2, 4, 4)])
c("Fold", [4, 4], [2, 2], kw={"stride": 2}, inputs=[r(1, 8, 4)])
c("CosineSimilarity", inputs=[r(3, 4), r(3, 4)])
c("PairwiseDistance", kw={"p": 1}, inputs=[r(3, 4), r(3, 4)])
c("BatchNorm1d", 3, inputs=[r(5, 3)])
c("BatchNorm1d", 3, kw={"momentum": None}, inputs=[r(5, 3, 2)])
c("BatchNorm2d", 3, kw={"eps": 1e-3, "momentum": 0.2}, inputs=[r(2, 3, 2, 2)])
c("BatchNorm2d", 3, inputs=[r(2, 3, 2, 2)], mode="eval")
c("BatchNorm2d", 3, kw={"affine": False, "track_running_stats": False}, inputs=[r(2, 3, 2, 2)], mode="eval")
c("BatchNorm3d", 2, inputs=[r(2, 2, 2, 2, 2)])
c("InstanceNorm1d", 3, inputs=[r(2, 3, 4)])
c("InstanceNorm2d", 2, kw={"affine": True, "track_running_stats": True}, inputs=[r(2, 2, 3, 3)])
c("InstanceNorm3d", 2, inputs=[r(2, 2, 2, 2, 2)])
c("LayerNorm", 4, inputs=[r(3, 4)])
c("LayerNorm", [2, 3], kw={"bias": False}, inputs=[r(2, 2, 3)])
c("RMSNorm", 4, inputs=[r(3, 4)])
c("GroupNorm", 2, 4, inputs=[r(2, 4, 3)])
c("LocalResponseNorm", 2, inputs=[r(1, 4, 3, 3)])
c("Embedding", 6, 3, inputs=[ints(6, 2, 4)])
c("Embedding", 6, 3, kw={"padding_idx": -1, "scale_grad_by_freq": True}, inputs=[ints(6, 2, 4)])
for mode in ["sum", "mean", "max"]:
    c("EmbeddingBag", 6, 3, kw={"mode": mode}, inputs=[ints(6, 3, 4)])
c("RNN", 3, 4, kw={"num_layers": 2, "nonlinearity": "relu"}, inputs=[r(3, 2, 3)])
c("RNN", 3, 4, inputs=[r(3, 3)])
c("LSTM", 3, 4, kw={"num_layers": 2, "bidirectional": True, "batch_first": True}, inputs=[r(2, 3, 3)])
c("LSTM", 3, 4, kw={"proj_size": 2}, inputs=[r(3, 2, 3)])
c("GRU", 3, 4, kw={"bias": False}, inputs=[r(3, 2, 3), r(1, 2, 4)])
c("RNNCell", 3, 4, inputs=[r(2, 3)])
c("LSTMCell", 3, 4, inputs=[r(2, 3)])
c("GRUCell", 3, 4, inputs=[r(2, 3), r(2, 4)])
c("MultiheadAttention", 4, 2, inputs=[r(3, 2, 4), r(5, 2, 4), r(5, 2, 4)])
c("MultiheadAttention", 4, 2, kw={"batch_first": True, "kdim": 3, "vdim": 5, "add_bias_kv": True, "add_zero_attn": True}, inputs=[r(2, 3, 4), r(2, 5, 3), r(2, 5, 5)], call={"average_attn_weights": False})
c("TransformerEncoderLayer", 4, 2, kw={"dim_feedforward": 8, "dropout": 0, "batch_first": True}, inputs=[r(2, 3, 4)])
c("TransformerEncoderLayer", 4, 2, kw={"dim_feedforward": 8, "dropout": 0, "norm_first": True, "activation": "gelu", "bias": False}, inputs=[r(3, 2, 4)])
c("TransformerDecoderLayer", 4, 2, kw={"dim_feedforward": 8, "dropout": 0}, inputs=[r(3, 2, 4), r(5, 2, 4)])
c("Transformer", kw={"d_model": 4, "nhead": 2, "num_encoder_layers": 2, "num_decoder_layers": 1, "dim_feedforward": 6, "dropout": 0, "batch_first": True}, inputs=[r(2, 3, 4), r(2, 2, 4)])
for name in ["L1Loss", "MSELoss", "SmoothL1Loss", "HuberLoss"]:
    c(name, inputs=[r(3, 4), r(3, 4)])
c("MSELoss", kw={"reduction": "sum"}, inputs=[r(3, 4), r(3, 4)])
c("KLDivLoss", kw={"reduction": "batchmean"}, inputs=[r(3, 4), uniform(3, 4)])
c("PoissonNLLLoss", inputs=[r(3, 4), uniform(3, 4)])
c("GaussianNLLLoss", inputs=[r(3, 4), r(3, 4), uniform(3, 4)])
c("HingeEmbeddingLoss", inputs=[r(3, 4), {"sign": [3, 4]}])
c("CosineEmbeddingLoss", inputs=[r(3, 4), r(3, 4), {"sign": [3]}])
c("MarginRankingLoss", 0.5, inputs=[r(4), r(4), {"sign": [4]}])
c("MultiLabelMarginLoss", inputs=[r(3, 4), ints(4, 3, 4)])
c("SoftMarginLoss", inputs=[r(3, 4), {"sign": [3, 4]}])
c("TripletMarginLoss", kw={"swap": True}, inputs=[r(3, 4), r(3, 4), r(3, 4)])
c("TripletMarginWithDistanceLoss", kw={"margin": 2}, inputs=[r(3, 4), r(3, 4), r(3, 4)])
c("NLLLoss", inputs=[r(3, 4), ints(4, 3)])
c("CrossEntropyLoss", kw={"label_smoothing": 0.1}, inputs=[r(3, 4), ints(4, 3)])
c("BCELoss", inputs=[uniform(3, 4), uniform(3, 4)])
c("BCEWithLogitsLoss", inputs=[r(3, 4), uniform(3, 4)])
c("MultiLabelSoftMarginLoss", inputs=[r(3, 4), uniform(3, 4)])
c("MultiMarginLoss", kw={"margin": 0.5}, inputs=[r(3, 4), ints(4, 3)])
c("CTCLoss", inputs=[r(6, 2, 4), {"values": [[1, 2, 1], [3, 1, 2]]}, {"values": [6, 6]}, {"values": [3, 2]}])


def numbers(t):
    return [round(v, 9) if isinstance(v, float) else v for v in t.detach().double().flatten().tolist()]


def stored(t):
    return {"shape": list(t.shape), "dtype": str(t.dtype).split(".")[1], "data": numbers(t)}


def make(spec):
    (kind, v), = spec.items()
    if kind == "randn":
        return torch.randn(v, requires_grad=True)
    if kind == "randn64":
        return torch.randn(v, dtype=torch.float64, requires_grad=True)
    if kind == "rand":
        return torch.rand(v)
    if kind == "sign":
        return torch.randn(v).sign()
    if kind == "values":
        return torch.tensor(v)
    return torch.randint(v[0], v[1])


def tensors(out):
    if isinstance(out, torch.Tensor):
        return [out]
    return [t for o in out if o is not None for t in tensors(o)]


def tuples(v):
    return tuple(tuples(x) for x in v) if isinstance(v, list) else v


for case in cases:
    kw = dict(case["kw"])
    if "dtype" in kw:
        kw["dtype"] = getattr(torch, kw["dtype"])
    torch.manual_seed(11)
    m = getattr(nn, case["name"])(*[tuples(a) for a in case["args"]], **{k: tuples(v) for k, v in kw.items()})
    case["repr"] = repr(m)
    case["initial"] = {k: [list(v.shape), v.double().sum().item()] for k, v in m.state_dict().items()}
    torch.manual_seed(12)
    inputs = [make(s) for s in case["inputs"]]
    case["inputs"] = [dict(stored(t), requires_grad=t.requires_grad) for t in inputs]
    m.train(case["mode"] == "train")
    outs = tensors(m(*inputs, **case["call"]))
    loss = sum((o * torch.cos(torch.arange(o.numel(), dtype=o.dtype)).view_as(o)).sum() for o in outs if o.requires_grad)
    if isinstance(loss, torch.Tensor):
        loss.backward()
    case["outputs"] = [stored(o) for o in outs]
    case["grads"] = [numbers(t.grad) if t.grad is not None else None for t in inputs]
    case["parameters"] = {k: numbers(p.grad) if p.grad is not None else None for k, p in m.named_parameters()}
    case["buffers"] = {k: numbers(b) for k, b in m.named_buffers()}

print("{\"torch\": \"%s\", \"cases\": [" % torch.__version__)
print(",\n".join(json.dumps(case, separators=(",", ":")) for case in cases))
print("]}")
