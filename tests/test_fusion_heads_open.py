"""Open-world attribution: the closed forms of its losses, and what each loss is there for."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from fusion.heads.open import (
    OpenFamilyHead,
    agreement,
    alike_by_parts,
    classes_of,
    eased_cross_entropy,
    entropy,
    partners,
    pseudo_label_loss,
)
from pipelines.metrics.attribution import cluster_accuracy

NAN = float("nan")


def unit(rows: int, width: int = 6) -> torch.Tensor:
    return functional.normalize(torch.randn(rows, width), dim=1)


def test_genuine_clips_are_a_class_and_strangers_have_none() -> None:
    targets = torch.tensor([[0.0, 1], [0, 0], [NAN, NAN], [1, 0]])
    assert classes_of(targets).tolist() == [1, 2, -1, 0]


def test_the_eased_cross_entropy_knows_its_closed_form_and_leaves_out_the_unlabelled() -> None:
    logits, classes = torch.tensor([[0.0, 0.0], [5.0, -5.0]]), torch.tensor([0, -1])
    assert float(eased_cross_entropy(logits, classes)) == pytest.approx(math.log1p(math.exp(-0.2)))
    plain = functional.cross_entropy(logits, torch.tensor([0, 1]))
    torch.testing.assert_close(eased_cross_entropy(logits, torch.tensor([0, 1]), 0.0), plain)
    assert float(eased_cross_entropy(logits, torch.tensor([-1, -1]))) == 0


def test_entropy_is_the_log_of_how_many_classes_there_are_and_zero_of_one() -> None:
    assert float(entropy(torch.full((22,), 1 / 22))) == pytest.approx(math.log(22))
    assert float(entropy(torch.tensor([0.0, 1.0, 0.0]))) == pytest.approx(0.0)
    chances = torch.rand(9).softmax(dim=0)
    truth = torch.distributions.Categorical(probs=chances).entropy()
    torch.testing.assert_close(entropy(chances), truth)


def test_agreement_costs_nothing_where_both_are_sure_and_the_log_of_k_where_neither_is() -> None:
    sure, unsure = functional.one_hot(torch.arange(4)).float(), torch.full((4, 5), 0.2)
    assert float(agreement(sure, sure)) == 0
    assert float(agreement(unsure, unsure)) == pytest.approx(math.log(5))


def test_pseudo_labels_of_an_unsure_head_cost_log_k_by_k_whatever_is_drawn() -> None:
    logits, accepted = torch.zeros(6, 7), torch.tensor([True, True, True, False, False, False])
    expected = 0.5 * math.log(7) / 7
    assert float(pseudo_label_loss(logits, accepted)) == pytest.approx(expected)
    assert float(pseudo_label_loss(torch.randn(6, 7), ~(logits[:, 0] == 0))) == 0
    certain = 200 * functional.one_hot(torch.arange(6), 7).float()
    assert float(pseudo_label_loss(certain, accepted)) == pytest.approx(0.0, abs=1e-6)


def test_parts_count_by_their_length_and_a_clip_is_most_like_itself() -> None:
    parts = torch.tensor([[[3.0, 0], [0, 4.0]], [[1.0, 0], [0, -1.0]]])  # the second part differs
    found = alike_by_parts(parts)
    assert found[0].tolist() == pytest.approx([0.6 + 0.8, 0.6 - 0.8])
    assert found[1].tolist() == pytest.approx([0.0, 2 / math.sqrt(2)], abs=1e-6)


def test_clips_with_a_class_agree_with_another_one_of_it() -> None:
    classes = torch.tensor([0, 0, 0, 1, 1, 2])
    for _ in range(10):
        partner, accepted = partners(unit(6), torch.randn(6, 3, 4), classes)
        assert classes[partner].tolist() == classes.tolist()
        assert (partner != torch.arange(6))[:5].all()
        assert partner[5] == 5  # there is no other
        assert not accepted.any()


def test_a_nearest_clip_that_is_unlike_by_parts_is_voted_down() -> None:
    embedded = functional.normalize(torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [-0.2, 1]]), dim=1)
    pairs = torch.randn(2, 3, 8).repeat_interleave(2, dim=0)
    parts = pairs + 0.1 * torch.randn(4, 3, 8)
    nobody = torch.full((4,), -1)
    partner, accepted = partners(embedded, parts, nobody)
    assert partner.tolist() == [1, 0, 3, 2]
    assert accepted.all()
    parts[0] = -pairs[0]  # by parts the first is now unlike its neighbour
    partner, accepted = partners(embedded, parts, nobody)
    assert (int(partner[0]), bool(accepted[0])) == (0, False)


def test_without_the_further_losses_it_is_the_eased_cross_entropy() -> None:
    head = OpenFamilyHead(12, 3, dim=5, novel=2, part=4, likeness=0, pseudo=0, spread=0).eval()
    vectors, classes = torch.randn(8, 12), torch.tensor([0, 1, 2, 3, -1, -1, 0, 1])
    expected = eased_cross_entropy(head._logits(head.embed(vectors)), classes)
    torch.testing.assert_close(head.open_loss(vectors, classes), expected)


def test_a_family_is_named_as_far_as_it_is_nearer_than_the_genuine_and_all_else() -> None:
    head = OpenFamilyHead(4, 2, dim=3, novel=1, part=2).eval()
    head.embed = lambda given: given  # type: ignore[method-assign]
    with torch.no_grad():
        head.proxies.copy_(2 * torch.eye(3)[:2])
        head.others.copy_(torch.stack([torch.eye(3)[2], -torch.eye(3)[0]]))
        said = head(torch.tensor([[1.0, 0, 0], [0.6, 0, 0.8], [-1, 0, 0]]))
    assert said[0].tolist() == pytest.approx([0.5, 0.0])
    assert said[1].tolist() == pytest.approx([-0.1, -0.4])
    assert said[2].tolist() == pytest.approx([-1.0, -0.5])


def made(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Clip vectors of five generators, which half of the numbers tell, and whose they are."""
    generator = torch.Generator().manual_seed(7)
    middles = 1.6 * torch.randn(5, 16, generator=generator)
    generator.manual_seed(seed)
    which = torch.arange(count) % 5
    telling = middles[which] + torch.randn(count, 16, generator=generator)
    rooms = 3 * torch.randn(4, 16, generator=torch.Generator().manual_seed(8))
    room = torch.randint(0, 4, (count,), generator=generator)
    return torch.cat([telling, rooms[room] + torch.randn(count, 16, generator=generator)], 1), which


def taught(vectors: torch.Tensor, which: torch.Tensor, spread: float = 1.0) -> OpenFamilyHead:
    """A head that was told of three generators and saw the other two without a label."""
    classes = torch.where(which < 3, which, -1)
    head = OpenFamilyHead(32, 3, dim=16, novel=2, part=8, spread=spread)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    for _ in range(120):
        loss = head.open_loss(vectors, classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return head.eval()


def test_new_generators_are_found_better_than_by_k_means() -> None:
    from sklearn.cluster import KMeans

    vectors, which = made(250, seed=1)
    head = taught(vectors, which)
    held, truth = made(300, seed=2)
    new = truth >= 3
    with torch.inference_mode():
        said = head.clusters(held)
        plain = head.describe(held)
    blind = KMeans(5, n_init=3, random_state=0).fit_predict(plain.numpy())
    found = cluster_accuracy(truth[new], said[new])
    assert found > cluster_accuracy(truth[new], blind[new.numpy()]) + 0.2
    assert float((said == truth)[~new].float().mean()) > 0.9


def test_without_the_entropy_a_class_of_new_generators_dies_out() -> None:
    vectors, which = made(250, seed=1)
    new = which >= 3
    used = []
    for spread in (0.0, 1.0):
        head = taught(vectors, which, spread)
        with torch.inference_mode():
            said = head.clusters(vectors)[new]
        used.append(int((torch.bincount(said, minlength=6)[4:] > 20).sum()))
    assert used[0] < 2
    assert used[1] == 2
