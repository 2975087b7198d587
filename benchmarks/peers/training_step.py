"""AFM of deepctr-torch and of torchfm, as shipped, on rows that benchmarks/training_speed.py drew.

    python training_step.py ROWS.npz deepctr|torchfm BATCH K T THREADS

Prints a line of JSON: samples a second, updates included, and the mean loss of the rows.
"""

import json
import sys
import time
import warnings

import numpy as np
import torch

warnings.simplefilter("ignore")
RATE = 1e-3


def deepctr(ids, labels, sizes, batch, k, t):
    """What fits some of the rows, and gives their loss."""
    from deepctr_torch.inputs import SparseFeat
    from deepctr_torch.models import AFM

    columns = [SparseFeat(f"f{i}", size, k) for i, size in enumerate(sizes)]
    model = AFM(columns, columns, attention_factor=t, device="cpu")
    model.compile(torch.optim.Adam(model.parameters(), RATE), "binary_crossentropy")

    def fit(rows):
        inputs = {f"f{i}": ids[rows, i] for i in range(len(sizes))}
        history = model.fit(inputs, labels[rows], batch_size=batch, epochs=1, verbose=0)
        return history.history["loss"][-1]

    return fit


def torchfm(ids, labels, sizes, batch, k, t):
    """What fits some of the rows, and gives their loss; as in its examples/main.py."""
    from torchfm.model.afm import AttentionalFactorizationMachineModel

    np.long = np.int64  # what its index of fields is made of; numpy has dropped the name
    model = AttentionalFactorizationMachineModel(sizes, k, t, (0.0, 0.0))
    optimiser = torch.optim.Adam(model.parameters(), RATE, weight_decay=1e-6)
    criterion = torch.nn.BCELoss()
    ids, labels = torch.from_numpy(ids), torch.from_numpy(labels)

    def fit(rows):
        total = 0.0
        numbers = range(len(ids))[rows]
        for start in range(0, len(numbers), batch):
            at = slice(numbers[start], numbers[min(start + batch, len(numbers)) - 1] + 1)
            loss = criterion(model(ids[at]), labels[at])
            model.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item() * (at.stop - at.start)
        return total / len(numbers)

    return fit


def main():
    """See the module."""
    path, name, batch, k, t, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    torch.manual_seed(1)
    rows = np.load(path)
    ids, labels, sizes = rows["ids"], rows["labels"], rows["sizes"].tolist()
    fit = {"deepctr": deepctr, "torchfm": torchfm}[name](
        ids, labels, sizes, int(batch), int(k), int(t)
    )
    first = int(batch)  # warms up
    fit(slice(0, first))
    began = time.perf_counter()
    loss = fit(slice(first, len(ids)))
    took = time.perf_counter() - began
    print(json.dumps({"rate": (len(ids) - first) / took, "loss": float(loss)}))


if __name__ == "__main__":
    main()
