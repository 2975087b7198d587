"""How good the nets are: the tables of quality.md, one section a call.

    python benchmarks/quality.py frappe    --data DIR [--seeds 1,2,3] [--configs fm,afm]
    python benchmarks/quality.py logs      --data DIR [--seeds 1,2,3,4,5] [--logs kdd,coupon]
    python benchmarks/quality.py simulated [--rows 1000000] [--seeds 1,2,3,4,5] [--net afm+]
    python benchmarks/quality.py unseen    [--data DIR] [--rows 200000] [--seeds 1,2,3]
    python benchmarks/quality.py parts     --data DIR [--rows 40000] [--seeds 1,2]
    python benchmarks/quality.py nfm       --data DIR [--rows 100000] [--seeds 1,2]

DIR holds kdd/kdd.csv.gz and so on. One thread; every row is printed as soon as it is known.
"""

import argparse
from pathlib import Path

import torch
from fits.known_truth import simulated, unseen
from fits.nets_side_by_side import against_nfm, frappe, logs, parts
from logs.splits import LOGS

from training.fit.malloc import keep_freed_memory

FRAPPE = ("fm", "fwfm", "ffm", "nfm", "afm", "afm-plus")


def main() -> None:
    """One section."""
    parser = argparse.ArgumentParser(description="The tables of quality.md.")
    parser.add_argument(
        "section", choices=["frappe", "logs", "simulated", "unseen", "parts", "nfm"]
    )
    parser.add_argument("--data", type=Path, help="the directory of the logs")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--configs", default=",".join(FRAPPE))
    parser.add_argument("--net", default="afm+", help="of section simulated")
    parser.add_argument("--logs", default=",".join(LOGS))
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    seeds = [int(seed) for seed in options.seeds.split(",")]
    if options.section == "frappe":
        frappe(options.data, seeds, options.configs.split(","))
    elif options.section == "logs":
        logs(options.data, seeds, options.logs.split(","))
    elif options.section == "simulated":
        simulated(seeds, options.rows, options.net)
    elif options.section == "unseen":
        unseen(options.data, seeds, options.rows)
    elif options.section == "parts":
        parts(options.data, seeds, options.rows)
    else:
        against_nfm(options.data, seeds, options.rows)


if __name__ == "__main__":
    main()
