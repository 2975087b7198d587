"""Where the parameters of a net are while a step fits it: in memory, where the compiled kernels
work on them, or on a CUDA device, where torch does, by autograd.

>>> IN_MEMORY.is_memory
True
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from model.errors import ConfigError
from model.nets import Net
from training.config import Config

SEEDS = 2**62


@dataclass(frozen=True)
class Device:
    """A device by torch's name, and whether products of matrices are computed in bfloat16 there,
    forward and backward; parameters, sums and scores stay float32.
    """

    name: torch.device
    bfloat16: bool = False

    @classmethod
    def of(cls, config: Config) -> "Device":
        """The device of a configuration.

        Raises:
            ConfigError: torch finds no such device, or another setting does not go with it.
        """
        found = cls(torch.device(config.device), config.precision == "bfloat16")
        if found.is_memory:
            if found.bfloat16:
                raise ConfigError('precision "bfloat16": goes with a CUDA device (device = "cuda")')
            return found
        if config.optimizer == "lazy_adam":
            raise ConfigError(f'device "{config.device}": goes with optimizer "adam"')
        # cuBLAS reads it when it starts: with it, its sums have one order
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        try:
            torch.zeros(1, device=found.name)
        except (AssertionError, RuntimeError) as error:  # a torch without CUDA, or no such device
            why = str(error).partition("\n")[0]
            raise ConfigError(f'device "{config.device}": not found by torch: {why}') from error
        return found

    @property
    def is_memory(self) -> bool:
        """Whether it is the machine's memory."""
        return self.name.type == "cpu"

    @contextmanager
    def holding(self, net: Net) -> Iterator[None]:
        """Have the net there, and in memory again afterwards. It keeps its parameters as objects,
        and an optimiser is made of them inside.
        """
        net.to(self.name)
        try:
            yield
        finally:
            net.to("cpu")

    def here(self, *tensors: Tensor) -> list[Tensor]:
        """The tensors, there."""
        return [tensor.to(self.name) for tensor in tensors]

    def precision(self) -> Any:
        """The context in which a net is called."""
        if not self.bfloat16:
            return nullcontext()
        return torch.autocast(self.name.type, torch.bfloat16)

    def draw_seed(self) -> None:
        """Seed the device's generator, of which dropout draws there, from that in memory: a fit
        that is resumed knows the state of the latter.
        """
        if self.name.type == "cuda":
            torch.cuda.manual_seed_all(int(torch.randint(SEEDS, ())))


IN_MEMORY = Device(torch.device("cpu"))
