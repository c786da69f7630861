"""Workers that train one module together, each on its share of every batch (DDP)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

Item = TypeVar("Item")
Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Workers:
    """The team's size, and this process's rank in it."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the worker that writes the files."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> Iterator[tuple[int, Item]]:
        """Yield this worker's items of a batch that all workers draw alike, with their indices."""
        return ((i, item) for i, item in enumerate(items) if i % self.size == self.rank)

    def losses(
        self, module: Module, loss_of: Callable[[Module, Any], Tensor]
    ) -> Callable[[Any], Tensor]:
        """Return a function batch -> loss whose gradients are averaged over all workers."""
        wrapped = _Losses(module, loss_of)
        if self.size == 1:
            return wrapped
        # a stage's loss may leave parts of the detector without gradients
        return nn.parallel.DistributedDataParallel(wrapped, find_unused_parameters=True)

    def mean(self, value: float) -> float:
        """Return the mean of all workers' values."""
        if self.size == 1:
            return value
        total = torch.tensor([value], dtype=torch.float64, device=_device())
        distributed.all_reduce(total)
        return float(total) / self.size

    def agree(self, module: nn.Module) -> None:
        """Broadcast the leader's weights and running statistics to every worker."""
        if self.size > 1:
            for tensor in module.state_dict().values():
                moved = tensor.to(_device())
                distributed.broadcast(moved, 0)
                tensor.copy_(moved)


class _Losses(nn.Module):
    """A module's loss as a module, so that DDP covers the whole way from a batch to its loss."""

    def __init__(self, module: nn.Module, loss_of: Callable[[Any, Any], Tensor]) -> None:
        super().__init__()
        self.module, self._loss_of = module, loss_of

    def forward(self, batch: Any) -> Tensor:
        return self._loss_of(self.module, batch)


def _device() -> str:
    """Return the device that collectives need their tensors on: the GPU with NCCL, else the CPU."""
    return "cuda" if distributed.get_backend() == "nccl" else "cpu"
