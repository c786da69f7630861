"""Tags of forgeries: what each selects, and that none selects a score."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipelines.config import load_config
from pipelines.evidence.tags import TAGS, maps_of, region_of, tag_mask, tag_of
from pipelines.zoo.head_clips import HeadConfig

ROOT = Path(__file__).resolve().parents[1]


def face() -> torch.Tensor:
    """A face in the rows 2 to 5 and columns 1 to 4 of eight by six cells."""
    cells = torch.zeros(1, 8, 6)
    cells[:, 2:6, 1:5] = 1
    return cells


def test_every_kind_that_the_head_knows_has_words_of_its_own() -> None:
    labels = load_config(HeadConfig, ROOT / "configs" / "heads" / "types.yaml").labels
    assert set(TAGS) == {*labels, "laundering"}
    assert len({tag.words for tag in TAGS.values()}) == len(TAGS)


def test_the_surest_kind_is_the_tag_and_laundering_stands_where_there_is_none() -> None:
    assert tag_of(["splice", "face swap"], "synthetic") == "splice"
    assert tag_of(["of another head", "face swap"], None) == "face swap"
    assert tag_of([], "laundered") == "laundering"
    assert tag_of(["face swap"], "laundered") == "face swap"
    for origin in ("real", "synthetic", None):
        assert tag_of([], origin) is None


def test_a_tag_points_to_the_region_that_its_forgery_changes() -> None:
    swap, lips = (region_of(tag, face()) for tag in ("face swap", "reenactment or lip-sync"))
    assert torch.equal(swap, face())
    assert lips[0].nonzero()[:, 0].unique().tolist() == [4, 5]
    assert float(lips.sum()) == 8
    assert float(region_of("wholly generated picture", face()).mean()) == 1
    assert float(region_of("laundering", face()).mean()) == 1
    assert float(region_of("splice", face()).sum()) == 0
    nobody = region_of("reenactment or lip-sync", torch.zeros(1, 8, 6))
    assert float(nobody.sum()) == 0


def test_the_mask_of_a_tag_is_the_map_inside_its_region() -> None:
    cells = torch.full((1, 8, 6), 0.6)
    cells[0, :5] = 0.4
    mask = tag_mask("face swap", cells, face(), 0.5)
    assert mask.nonzero().tolist() == [[0, 5, column] for column in range(1, 5)]
    assert not tag_mask("synthetic or converted voice", cells, face(), 0.5).any()


def test_a_tag_selects_maps_and_cuts_the_grey_one_to_its_region() -> None:
    grey = torch.ones(1, 8, 6)
    maps = {"appearance": torch.rand(1, 7, 7), "lips": torch.rand(1, 7, 7), "forged": grey}
    assert maps_of(None, maps, face()) is maps
    shown = maps_of("reenactment or lip-sync", maps, face())
    assert list(shown) == ["lips", "forged"]
    assert shown["lips"] is maps["lips"]
    assert float(shown["forged"].sum()) == 8
    assert float(maps["forged"].sum()) == 48  # the evidence itself is as before
    assert maps_of("laundering", maps, None)["forged"] is grey
    assert maps_of("synthetic or converted voice", maps, face()) == {}


@pytest.mark.parametrize("tag", TAGS)
def test_the_words_of_a_tag_promise_no_certainty(tag: str) -> None:
    assert TAGS[tag].words.startswith("It looks ")
