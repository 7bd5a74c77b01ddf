#!/usr/bin/env python3
"""Tiny generators saved as PyTorch saves them, with a picture and what they make of it.

    python3 make_weights.py ../..        writes into the crates' tests/weights

Weights and pictures are apart, because a file of weights holds nothing else. Eval and train modes are those
of the norms: a U-Net of five halvings has no level that drops units.
"""
import pathlib
import sys

import nets
import torch
from safetensors.torch import save_file
from torch import nn

root = pathlib.Path(sys.argv[1])
gen = torch.Generator().manual_seed(8)


def filled(net):
    """Initial values as in fixtures, and running statistics of a few batches."""
    nets.initialise(net, gen)
    with torch.no_grad():
        for _ in range(3):
            net.train()(torch.rand((2, 3, 32, 32), generator=gen) * 2 - 1)
    return net


def write(crate, name, tensors):
    path = root / "crates" / crate / "tests" / "weights" / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.detach().clone().contiguous() for k, v in tensors.items()}, path)


@torch.no_grad()
def outputs(net, x):
    """In double precision from the float32 weights; the statistics that are saved do not move."""
    before = {k: v.clone() for k, v in net.state_dict().items()}
    out = {"input": x}
    for mode in ("eval", "train"):
        net.double().train(mode == "train")
        out[mode] = net(x.double()).float()
        net.float().load_state_dict(before)
    return out


x = torch.rand((1, 3, 32, 64), generator=gen) * 2 - 1
unet = filled(nets.Unet(downs=5, f=2))
write("gan-pix2pix", "unet", unet.state_dict())
write("gan-pix2pix", "unet-pictures", outputs(unet, x))

resnet = filled(nets.ResnetG(f=3, blocks=2))
write("gan-cyclegan", "resnet", resnet.state_dict())
write("gan-cyclegan", "resnet-pictures", outputs(resnet, x))

# The same, trained on several devices by a version of PyTorch whose instance norm kept statistics.
plain = nets.norm
nets.norm = lambda kind, c: nn.InstanceNorm2d(c, track_running_stats=True) if kind == "instance" else plain(kind, c)
tracked = nets.ResnetG(f=3, blocks=2)
tracked.load_state_dict(resnet.state_dict(), strict=False)
write("gan-cyclegan", "resnet-wrapped", {f"module.{k}": v for k, v in tracked.state_dict().items()})

# Batch norm in place of instance norm, and no biases before it.
def batch_resnet():
    nets.norm = lambda kind, c: nn.BatchNorm2d(c)
    net = nets.ResnetG(f=3, blocks=2)
    convs = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
    for conv in convs[:-1]:
        conv.bias = None
    return filled(net)


batch = batch_resnet()
write("gan-cyclegan", "resnet-batch", batch.state_dict())
write("gan-cyclegan", "resnet-batch-pictures", outputs(batch, x))
