"""Writes the .pth files of this folder, which the tests of gan-core and of the runner read.

    python make_pth.py            (needs PyTorch 2 and numpy)

Values come from a formula that the tests know: the i-th number of the k-th tensor of a file is
((37 i + 11 k) mod 101 - 50) / 64, which 16 bits hold exactly.
"""

import collections
import io
import os
import pathlib
import pickle
import struct
import warnings
import zipfile

import numpy
import torch

HERE = pathlib.Path(__file__).parent
warnings.simplefilter("ignore")


def values(shape, k, dtype=torch.float32):
    n = int(numpy.prod(shape))
    return ((torch.arange(n) * 37 + 11 * k) % 101 - 50).div(64).reshape(shape).to(dtype)


def network(dtype=torch.float32, k=0):
    return collections.OrderedDict([
        ("conv.weight", values((4, 3, 3, 3), k, dtype)),
        ("conv.bias", values((4,), k + 1, dtype)),
        ("norm.running_mean", values((4,), k + 2, dtype)),
        ("norm.num_batches_tracked", torch.tensor(7)),
    ])


def save(name, thing, **rest):
    torch.save(thing, HERE / name, **rest)


def legacy(name, thing, **rest):
    save(name, thing, _use_new_zipfile_serialization=False, **rest)


def repacked(name, source, method=zipfile.ZIP_STORED, change=lambda name, data: data, drop=()):
    """A zip file of torch's with other entries or another method."""
    with zipfile.ZipFile(HERE / source) as old, zipfile.ZipFile(HERE / name, "w", method) as new:
        for entry in old.infolist():
            if not entry.filename.endswith(tuple(drop) or ("no such name",)):
                about = zipfile.ZipInfo(entry.filename, (2020, 1, 1, 0, 0, 0))
                about.compress_type = method
                new.writestr(about, change(entry.filename, old.read(entry.filename)))


class Code:
    def __reduce__(self):
        return os.system, ("echo this must never be seen > ran.txt",)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 2, 3)


def old_views(name, little=True):
    """As versions before 1.0 wrote it: two storages that are views of a third."""
    base = values((12,), 0)
    tensors = {"first": (0, 6, (2, 3), (3, 1)), "second": (6, 6, (3, 2), (1, 3))}

    class Ref:
        def __init__(self, *what):
            self.what = what

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing):
            return thing.what if isinstance(thing, Ref) else None

    class Rebuild:
        def __init__(self, args):
            self.args = args

        def __reduce__(self):
            return torch._utils._rebuild_tensor, self.args

    made = collections.OrderedDict()
    for key, (start, size, shape, strides) in tensors.items():
        storage = Ref("storage", torch.FloatStorage, "1", "cpu", 12, (key, start, size))
        made[key] = Rebuild((storage, 0, shape, strides))
    out = io.BytesIO()
    pickle.dump(0x1950A86A20F9469CFC6C, out, 2)
    pickle.dump(1001, out, 2)
    pickle.dump({"protocol_version": 1001, "little_endian": little, "type_sizes": {}}, out, 2)
    Pickler(out, 2).dump(made)
    pickle.dump(["1"], out, 2)
    out.write(struct.pack("<q", 12) + base.numpy().astype("<f4" if little else ">f4").tobytes())
    (HERE / name).write_bytes(out.getvalue())


def main():
    for old in HERE.glob("*.pth"):
        old.unlink()
    torch.manual_seed(1)
    # Containers, protocols and types of numbers.
    save("plain.pth", network())
    legacy("plain-legacy.pth", network())
    for protocol in (1, 3, 4, 5):
        save(f"protocol{protocol}.pth", network(), pickle_protocol=protocol)
    legacy("protocol1-legacy.pth", network(), pickle_protocol=1)
    legacy("protocol4-legacy.pth", network(), pickle_protocol=4)
    save("half.pth", network(torch.float16))
    legacy("bfloat-legacy.pth", network(torch.bfloat16))
    save("double.pth", network(torch.float64))
    repacked("deflated.pth", "plain.pth", zipfile.ZIP_DEFLATED)
    torch.serialization.set_crc32_options(False)
    save("unchecked.pth", network())
    torch.serialization.set_crc32_options(True)
    integers = ("int8", "uint8", "int16", "int32", "int64", "bool")
    save("integers.pth", {name: torch.tensor([-3, 0, 5]).to(getattr(torch, name)) for name in integers})
    # Storages that are shared, repeated, turned, entered in their middle; tensors of one number and of none.
    base = values((6, 4), 0)
    views = {
        "whole": base,
        "rows": base[2:4],
        "turned": base.t(),
        "columns": base[:, 1::2],
        "repeated": base[1:2].expand(3, 4),
        "corner": base[5, 3],
        "none": torch.zeros(0, 5),
    }
    save("views.pth", views)
    legacy("views-legacy.pth", views)
    old_views("views-old.pth")
    # Wrappers.
    save("params.pth", {"params": network(k=5), "params_ema": network()})
    multi = collections.OrderedDict((f"module.{key}", tensor) for key, tensor in network().items())
    net = Net()
    adam = torch.optim.Adam(net.parameters())
    net.conv(torch.ones(1, 1, 3, 3)).sum().backward()
    adam.step()
    steps = torch.optim.lr_scheduler.MultiStepLR(adam, [3, 5])
    beside = {
        "epoch": 3,
        "best": torch.tensor(0.25),
        "loss": numpy.float64(0.5),
        "optimizer": adam.state_dict(),
        "scheduler": steps.state_dict(),
    }
    save("module.pth", {"state_dict": multi, **beside})
    save("nested.pth", {"model": {"generator": network(), "discriminator": {"a": values((2,), 9)}}})
    save("several.pth", {"netG_A": network(), "netG_B": network(k=3), "netD_A": network(k=4)})
    both = {f"generator.{key}": tensor for key, tensor in network().items()}
    both.update({f"discriminator.{key}": tensor for key, tensor in network(k=4).items()})
    save("joined.pth", both)
    parameters = {key: torch.nn.Parameter(t) if t.is_floating_point() else t for key, t in network().items()}
    parameters["conv.bias"].note = "an attribute of its own"
    save("parameters.pth", parameters)
    save("list.pth", [values((2, 2), 0), values((3,), 1)])
    save("numbered.pth", {0: values((2, 2), 0), 1: values((3,), 1)})
    # A generator of the paper `vanilla` with pictures of 4x4, in both containers.
    gen = {"gen.0.weight": (4, 3), "gen.0.bias": (4,), "gen.2.weight": (16, 4), "gen.2.bias": (16,)}
    gen = {key: values(shape, k) for k, (key, shape) in enumerate(gen.items())}
    multi = {f"module.{key}": tensor for key, tensor in gen.items()}
    save("vanilla.pth", {"generator": multi, "discriminator": {"a": gen["gen.0.bias"]}})
    legacy("vanilla-legacy.pth", {key: t.half() for key, t in gen.items()})
    # What is refused, by what it is.
    save("optimizer.pth", adam.state_dict())
    save("training.pth", {"epoch": 1, "iter": 9, "optimizers": [adam.state_dict()], "schedulers": []})
    save("whole.pth", net)
    # Without the text of its program, which these files would hold, too.
    torch.serialization.get_source_lines_and_file = None
    legacy("whole-legacy.pth", net)
    save("code.pth", {"a": values((2,), 0), "b": Code()})
    legacy("code-legacy.pth", Code(), pickle_protocol=4)
    save("single.pth", values((2,), 0))
    save("nothing.pth", {"epoch": 3, "losses": [1.0, 0.5]})
    save("complex.pth", {"c": torch.ones(2, dtype=torch.complex64)})
    save("eight.pth", {"e": torch.ones(2).to(torch.float8_e4m3fn)})
    save("quantized.pth", {"q": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)})
    save("sparse.pth", {"s": torch.eye(2).to_sparse()})
    torch.jit.script(torch.nn.Linear(1, 1)).save(str(HERE / "script.pth"))
    order = lambda name, data: b"big" if name.endswith("byteorder") else data
    repacked("big.pth", "plain.pth", change=order)
    old_views("big-legacy.pth", little=False)
    repacked("lacking.pth", "plain.pth", drop=("data/0",))
    print(sum(file.stat().st_size for file in HERE.glob("*.pth")), "bytes")


if __name__ == "__main__":
    main()
