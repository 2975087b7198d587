"""Adam's moments: what `fit --keep-optimiser` leaves beside a bundle for the fit that starts from
it.

BUNDLE.optimiser.npz holds of each parameter the running means of its gradient and of its square,
and the steps that they have seen; float32. It is no part of the bundle, since no score needs it,
and there is no pickle in it.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.errors import BundleError, ConfigError, reason
from model.files.whole_file import whole_file
from model.nets import Net

Stored = Mapping[str, Mapping[str, NDArray[np.float32]]]  # parameter -> name in Adam -> array

VERSION = "version"  # the name of an array beside those of the parameters
KEYS = {"step", "exp_avg", "exp_avg_sq"}  # Adam's names


class Moments:
    """Adam's state of a net's parameters by name, as of a step's best epoch; none at first."""

    def __init__(self, states: Stored | None = None) -> None:
        self.states: dict[str, dict[str, Tensor]] = {
            name: {key: torch.from_numpy(array) for key, array in state.items()}
            for name, state in (states or {}).items()
        }

    def restore(self, net: Net, optimiser: torch.optim.Optimizer) -> None:
        """Have the optimiser of the net continue from here."""
        for name, parameter in net.named_parameters():
            if name in self.states:
                optimiser.state[parameter] = _copied(self.states[name], parameter.device)

    def capture(self, net: Net, optimiser: torch.optim.Optimizer) -> None:
        """Keep the state that the optimiser of the net has now."""
        self.states = {
            name: _copied(optimiser.state[parameter], torch.device("cpu"))
            for name, parameter in net.named_parameters()
            if parameter in optimiser.state
        }

    def write(self, path: Path, version: str) -> None:
        """Write them, as those of a bundle's version: whole, or not at all.

        Raises:
            BundleError: they cannot be written.
        """
        arrays = {
            f"{name}/{key}": tensor.numpy()
            for name, state in self.states.items()
            for key, tensor in state.items()
        }
        try:
            with whole_file(path) as file:
                np.savez(file, allow_pickle=False, **{VERSION: np.array(version)}, **arrays)
        except OSError as error:
            raise BundleError(f"{path}: cannot be written: {reason(error)}") from error


def moments_path(bundle: Path) -> Path:
    """Where those of a bundle are kept."""
    return bundle.with_name(f"{bundle.name}.optimiser.npz")


def read_moments(path: Path, version: str) -> Stored:
    """What `Moments.write` wrote.

    Raises:
        ConfigError: not such a file, or of another version than `version`.
    """
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("not an archive")
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        found = str(arrays.pop(VERSION))
        states: dict[str, dict[str, NDArray[np.float32]]] = {}
        for name, array in arrays.items():
            parameter, _, key = name.rpartition("/")
            if array.dtype != np.float32 or not np.isfinite(array).all():
                raise ValueError("not numbers")
            states.setdefault(parameter, {})[key] = array
        if any(state.keys() != KEYS for state in states.values()):
            raise ValueError("not Adam's")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(f"--optimiser {path}: not what fit --keep-optimiser left") from error
    if found != version:
        raise ConfigError(f"--optimiser {path}: of version {found}, the bundle is {version}")
    return states


def _copied(state: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {key: tensor.to(device, copy=True) for key, tensor in state.items()}
