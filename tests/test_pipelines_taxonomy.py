"""One file names the kinds of manipulation: heads and forgeries have no other names."""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from pipelines.config import ConfigError, load_config
from pipelines.forge.methods import DUBS, PICTURE, SOUND
from pipelines.forge.picture.presentation import ATTACKS
from pipelines.taxonomy import TAXONOMY, Taxonomy, taxonomy, type_labels
from pipelines.zoo.head_clips import HeadConfig
from pipelines.zoo.heads import HEADS, load_head
from pipelines.zoo.parts import SHIPPED

ROOT = Path(__file__).parents[1]
FORGED = (*PICTURE, *SOUND, *DUBS, "sound_shifted")
SUBTYPES = {name: (family, subtype) for family, kind in taxonomy().families.items()
            for name, subtype in kind.subtypes.items()}  # fmt: skip


@pytest.mark.parametrize("method", FORGED)
def test_every_forging_method_has_an_entry_of_what_it_forges(method: str) -> None:
    made = taxonomy().made_by(method)
    assert made
    forged = {SUBTYPES[name][1].modality for _, name in made}
    if method in PICTURE:
        assert forged == {"visual"}
    elif method in SOUND or method == "sound_shifted":
        assert forged == {"audio"}
    else:
        assert forged == {"visual", "audio"}


def test_no_entry_names_a_method_that_there_is_not() -> None:
    named = {method for _, subtype in SUBTYPES.values() for method in subtype.methods}
    assert named == {*FORGED, *ATTACKS}


def test_the_categories_of_liveness_are_the_presentation_attacks() -> None:
    assert set(taxonomy().families["presentation attack"].subtypes) == set(ATTACKS)


def test_a_combined_method_makes_what_its_parts_make() -> None:
    tax = taxonomy()
    both = tax.made_by("face_swap+voice_converted")
    assert Counter(both) == Counter(tax.made_by("face_swap") + tax.made_by("voice_converted"))
    assert tax.made_by("none") == []


def test_the_patterns_of_a_label_fit_the_forgeries_of_its_family_and_of_no_other() -> None:
    """Sound is told by its track, `@audio`, less what is genuine sound elsewhere."""
    for family, patterns in type_labels().items():
        for method in FORGED:
            families = {f for f, _ in taxonomy().made_by(method)}
            names = (f"forged {method}", *(["@audio"] if method in (*SOUND, *DUBS) else []))
            fits = any(fnmatchcase(n, p) for n in names for p in patterns)
            fits &= not any(fnmatchcase(n, p[1:]) for n in names for p in patterns if p[0] == "!")
            assert fits == (family in families), (family, method)


def test_the_names_of_the_types_are_the_families_here_and_in_the_shipped_weights() -> None:
    config = load_config(HeadConfig, ROOT / HEADS / "types.yaml")
    assert config.labels == type_labels()
    shipped = load_head(SHIPPED / "types.safetensors")[1]
    assert shipped.labels == config.labels
    assert set(config.labels) <= set(taxonomy().families)


@pytest.mark.parametrize("name", ["family-audio", "family-visual", "laundering"])
def test_every_label_of_the_other_heads_is_explained(name: str) -> None:
    config = load_config(HeadConfig, ROOT / HEADS / f"{name}.yaml")
    for label in config.labels:
        assert SUBTYPES[label][1].modality == config.modality


def test_every_entry_says_what_it_is() -> None:
    assert all(family.meaning for family in taxonomy().families.values())
    for _, subtype in SUBTYPES.values():
        assert subtype.meaning
        assert 1 <= subtype.entry <= 55


def test_a_name_with_two_meanings_or_an_unknown_key_is_refused(tmp_path: Path) -> None:
    kind = "{meaning: m, modality: visual, localisable: true, entry: 1"
    family = "{meaning: m, subtypes: {s: " + kind + "}}}"
    path = tmp_path / "t.yaml"
    path.write_text(f"families: {{a: {family}, b: {family}}}")
    with pytest.raises(ConfigError, match=r"\['s'\] have two meanings"):
        load_config(Taxonomy, path)
    path.write_text(f"families: {{a: {family.replace('entry', 'number')}}}")
    with pytest.raises(ConfigError, match="number"):
        load_config(Taxonomy, path)
    assert (ROOT / TAXONOMY).exists()
