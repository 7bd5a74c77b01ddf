"""Times the enlarging of a picture of 512x384 by an RRDB network of 23 blocks and 64 channels, one JSON line.

    python enlarge.py [--threads N] [--runs N] [--channels-last] [--small]

compare.py runs it and the example enlarge_time of gan-esrgan alternately under the label enlarge.
"""
import argparse
import json
import resource
import time

import nets
import torch
from make_published import filled

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--threads", type=int, default=2)
ap.add_argument("--runs", type=int, default=2)
ap.add_argument("--channels-last", action="store_true")
ap.add_argument("--small", action="store_true", help="a network of 2 blocks")
args = ap.parse_args()
torch.set_num_threads(args.threads)
net = filled(nets.RrdbNet(64, 32, 2 if args.small else 23))
x = torch.rand((1, 3, 384, 512), generator=torch.Generator().manual_seed(1))
if args.channels_last:
    net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
times = []
with torch.inference_mode():
    for _ in range(args.runs):
        start = time.perf_counter()
        net(x)
        times.append(time.perf_counter() - start)
times.sort()
print(json.dumps({
    "paper": "enlarge", "median_s": times[len(times) // 2], "min_s": times[0],
    "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
}))
