"""An auto-encoder that takes the fingerprint of a generator off pictures.

After Neves and others, GANprintR (IEEE J-STSP 2020), in the architecture that they published: three
times convolution, ReLU and pooling, a code of a chosen number of channels at an eighth of the size,
and as many steps back. Its unpooling puts values where the pooling took them from, so that edges
stay in place even with one channel; without these places the code is all that the picture is made
of.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (3, 32, 64, 128)
FACTOR = 8  # of the code's size to the picture's


class PrintRemover(nn.Module):
    """An auto-encoder of pictures (N, 3, H, W) in [0, 1], H and W multiples of 8."""

    def __init__(self, latent: int = 32, places: bool = True) -> None:
        """Make an untrained one.

        latent: channels of the code.
        places: whether unpooling uses the pooling's places.
        """
        super().__init__()
        self.places = places
        pairs = list(pairwise(WIDTHS))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairs)
        self.code = nn.Conv2d(WIDTHS[-1], latent, 3, padding=1)
        self.begin = nn.ConvTranspose2d(latent, WIDTHS[-1], 3, padding=1)
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 3, padding=1) for a, b in pairs[::-1])

    def encode(self, pictures: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the code (N, latent, H / 8, W / 8), and the places of each pooling."""
        x, places = pictures, []
        for layer in self.down:
            x, where = functional.max_pool2d(layer(x).relu(), 2, return_indices=True)
            places.append(where)
        return self.code(x).relu(), places

    def decode(self, code: Tensor, places: list[Tensor] | None = None) -> Tensor:
        """Return pictures (N, 3, H, W); without places every pixel of a field is the same."""
        x = self.begin(code).relu()
        for number, layer in enumerate(self.up):
            if places is None:
                x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            else:
                x = functional.max_unpool2d(x, places[-1 - number], [2, 2])
            x = layer(x)
            if number < len(self.up) - 1:
                x = x.relu()
        return x.clamp(0, 1) if not self.training else x

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the pictures rebuilt."""
        code, places = self.encode(pictures)
        return self.decode(code, places if self.places else None)


def trained_remover(
    pictures: Tensor, latent: int, places: bool, updates: int, seed: int = 0, batch: int = 16
) -> PrintRemover:
    """Return an auto-encoder that learned to rebuild genuine pictures (N, 3, H, W) in [0, 1].

    By the mean squared error and Adam at 0.001, as published.
    """
    torch.manual_seed(seed)
    remover = PrintRemover(latent, places).to(pictures.device).train()
    optimizer = torch.optim.Adam(remover.parameters(), 1e-3)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(updates):
        some = pictures[torch.randint(len(pictures), (batch,), generator=generator)]
        loss = functional.mse_loss(remover(some), some)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return remover.eval()


@torch.inference_mode()
def rebuilt(remover: PrintRemover, pictures: Tensor) -> Tensor:
    """Return pictures (N, 3, H, W) in [0, 1] of any size, rebuilt one by one."""
    height, width = pictures.shape[-2:]
    pad = (0, -width % FACTOR, 0, -height % FACTOR)
    parts = [
        remover(functional.pad(picture[None], pad, mode="replicate"))[..., :height, :width]
        for picture in pictures
    ]
    return torch.cat(parts)
