"""One peer as a process: serve.py RUNNER DATA_FOLDER. Requests and answers are lines of JSON:
{"do": "prepare", "case": NAME} -> {"first": seconds, "answers": [...]}; {"do": "time", "case": NAME, "seconds": S} -> {"us": median of one call};
{"do": "memory"} -> {"mib": peak}; {"do": "onnx", "folder": PATH} -> {"cases": [...]} writes the forward graphs. What fails answers {"error": ...}."""

import json
import os
import statistics
import struct
import sys
import time

import numpy as np

RUNNER, FOLDER = sys.argv[1], sys.argv[2]
THREADS = int(os.environ.get("BENCH_THREADS") or os.cpu_count())
DTYPES = {"F32": "float32", "F64": "float64", "I64": "int64"}


def load(group):
    with open(os.path.join(FOLDER, group + ".safetensors"), "rb") as f:
        (n,) = struct.unpack("<Q", f.read(8))
        head, raw = json.loads(f.read(n)), f.read()
    take = lambda v: np.frombuffer(raw[slice(*v["data_offsets"])], DTYPES[v["dtype"]]).reshape(v["shape"]).copy()
    return {k: take(v) for k, v in head.items() if k != "__metadata__"}


class Torch:
    """Eager or compiled by inductor; optimizers and autograd as users call them."""

    def __init__(self):
        import torch

        torch.set_num_threads(THREADS)
        self.torch = torch
        if RUNNER == "torch.compile":
            import warnings

            warnings.filterwarnings("ignore")
        import torch_cases

        groups = {}
        self.cases = torch_cases.cases(lambda g: groups.setdefault(g, {k: torch.tensor(v) for k, v in load(g).items()}))

    def jit(self, f):
        return self.torch.compile(f, fullgraph=True, dynamic=False) if RUNNER == "torch.compile" else f

    def norm(self, tree):
        flat, _ = self.torch.utils._pytree.tree_flatten(tree)
        return float(sum(t.detach().double().square().sum() for t in flat).sqrt())

    def make(self, case):
        torch = self.torch
        kind, f, args = self.cases[case]()
        if kind == "value":
            g = self.jit(f)
            if case.startswith("loop") and RUNNER == "torch.compile":
                return None  # a thousand steps unrolled: hours
            return lambda: g(*args), lambda: [self.norm(g(*args))]
        if kind == "hess":
            g = self.jit(torch.func.hessian(f))
            return lambda: g(*args), lambda: [self.norm(g(*args))]
        if kind == "grad":
            if case.startswith("loop") and RUNNER == "torch.compile":
                return None
            g = self.jit(f)
            many = isinstance(args[0], list)

            def run():
                p = [q.detach().requires_grad_() for q in (args[0] if many else [args[0]])]
                v = g(p if many else p[0], *args[1:])
                return v.detach(), torch.autograd.grad(v, p)

            def answers():
                v, grads = run()
                return [v.item(), self.norm(grads)]

            return run, answers
        p = [q.clone().requires_grad_() for q in args[0]]
        fused = {"fused": True} if RUNNER == "torch.compile" else {}
        opt = torch.optim.Adam(p, lr=1e-3, **fused) if kind == "adam" else torch.optim.SGD(p, lr=0.1, momentum=0.9, **fused)
        loss = self.jit(f)

        def step():
            opt.zero_grad(set_to_none=True)
            v = loss(p, *args[1:])
            v.backward()
            opt.step()
            return v

        return step, lambda: [step().item() for _ in range(5)] + [self.norm(p)]

    def onnx(self, folder):
        torch = self.torch
        os.makedirs(folder, exist_ok=True)
        done = []
        for case in ("dispatch.1", "seed.value.10", "seed.value.1000", "chain.16", "chain.1e6", "mlp.fwd", "tblock.fwd", "conv.fwd"):
            _, f, args = self.cases[case]()

            class Graph(torch.nn.Module):
                def forward(self, x):
                    return f(*args[:-1], x)

            torch.onnx.export(Graph().eval(), (args[-1],), os.path.join(folder, case + ".onnx"), dynamo=True, external_data=False, verbose=False)
            done.append(case)
        return done


class Jax:
    def __init__(self):
        import jax
        import jax_cases

        self.jax = jax
        groups = {}
        narrow = lambda v: v.astype("int32") if v.dtype == "int64" else v
        self.cases = jax_cases.cases(lambda g: groups.setdefault(g, {k: jax.numpy.asarray(narrow(v)) for k, v in load(g).items()}))

    def norm(self, tree):
        return float(np.sqrt(sum((np.asarray(a, "float64") ** 2).sum() for a in self.jax.tree.leaves(tree))))

    def make(self, case):
        jax = self.jax
        kind, f, args = self.cases[case]()
        wait = jax.block_until_ready
        if kind == "grad":
            g = jax.jit(jax.value_and_grad(f))

            def answers():
                v, grads = g(*args)
                return [float(v), self.norm(grads)]

            return lambda: wait(g(*args)), answers
        if kind == "step":
            g = jax.jit(f, donate_argnums=(0,))
            state = [jax.tree.map(lambda a: a.copy(), args[0])]

            def step():
                state[0], loss = wait(g(state[0], *args[1:]))
                return loss

            return step, lambda: [float(step()) for _ in range(5)] + [self.norm(state[0][0])]
        g = jax.jit(jax.hessian(f) if kind == "hess" else f)
        return lambda: wait(g(*args)), lambda: [self.norm(g(*args))]


class Torchax:
    """torch_cases through jax.jit; training steps are left out, since torch.optim is not functional."""

    def __init__(self):
        import jax
        import torch
        import torch_cases
        import torchax
        from torchax import interop

        torchax.enable_globally()
        self.jax, self.interop = jax, interop
        groups = {}
        narrow = lambda v: v.astype("int32") if v.dtype == "int64" else v
        self.cases = torch_cases.cases(lambda g: groups.setdefault(g, {k: torch.from_numpy(narrow(v)).to("jax") for k, v in load(g).items()}))

    def arrays(self, tree):
        return [t.jax() if hasattr(t, "jax") else t for t in self.jax.tree.leaves(tree)]

    def norm(self, tree):
        return float(np.sqrt(sum((np.asarray(a, "float64") ** 2).sum() for a in self.arrays(tree))))

    def make(self, case):
        kind, f, args = self.cases[case]()
        if kind in ("adam", "sgd") or case.startswith("loop"):
            return None
        ix = self.interop
        wrapped = {
            "value": lambda: f,
            "grad": lambda: ix.jax_value_and_grad(f),
            "hess": lambda: ix.torch_view(self.jax.hessian(ix.jax_view(f))),
        }[kind]()
        g = ix.jax_jit(wrapped)
        wait = lambda out: self.jax.block_until_ready(self.arrays(out))

        def answers():
            out = g(*args)
            return [float(self.arrays(out[0])[0]), self.norm(out[1])] if kind == "grad" else [self.norm(out)]

        return lambda: wait(g(*args)), answers


def timed(call, seconds):
    """Measured as in serve.ts."""
    clock = time.perf_counter
    began, calls = clock(), 0
    while clock() - began < seconds / 2:
        call()
        calls += 1
    batch = max(1, round(0.01 * calls / (clock() - began)))
    means, end = [], clock() + seconds
    while clock() < end or len(means) < 3:
        began = clock()
        for _ in range(batch):
            call()
        means.append((clock() - began) / batch)
    return statistics.median(means) * 1e6


def peak():
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) / 1024


def main():
    answer_to = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    peer = {"jax.jit": Jax, "torchax": Torchax}.get(RUNNER, Torch)()
    jobs = {}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            case = request.get("case")
            if request["do"] == "onnx":
                reply = {"cases": peer.onnx(request["folder"])}
            elif request["do"] == "memory":
                reply = {"mib": peak()}
            elif request["do"] == "prepare":
                jobs[case] = peer.make(case)
                if jobs[case] is None:
                    raise NotImplementedError("left out")
                began = time.perf_counter()
                answers = jobs[case][1]()
                reply = {"first": time.perf_counter() - began, "answers": answers}
            else:
                reply = {"us": timed(jobs[case][0], request["seconds"])}
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {str(error)[:200]}"}
        answer_to.write(json.dumps(reply) + "\n")
        answer_to.flush()


if __name__ == "__main__":
    main()
