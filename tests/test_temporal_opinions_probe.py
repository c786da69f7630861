"""The probe of an expert: one linear layer, a step at a time."""

from __future__ import annotations

import torch

from temporal.opinions.probe import StepProbe


def test_a_step_is_judged_by_its_own_token_alone() -> None:
    probe = StepProbe(2)
    with torch.no_grad():
        probe.weight.copy_(torch.tensor([[2.0, -1.0]]))
        probe.bias.fill_(0.5)
    tokens = torch.tensor([[[1.0, 0.0], [0.0, 3.0]]])
    assert probe(tokens, torch.ones(1, 2, dtype=torch.bool)).tolist() == [[2.5, -2.5]]
