"""Streams: refused where their lengths differ."""

from __future__ import annotations

import pytest
import torch

from extractors.streams import Streams


def test_streams_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        Streams(0, mel=torch.zeros(5, 80, 4), depth=torch.zeros(4, 1, 56, 56))
