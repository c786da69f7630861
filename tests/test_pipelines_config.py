"""Configuration in and out: every error names the place and the key."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config import (
    ConfigError,
    apply_overrides,
    find_config,
    from_dict,
    load_config,
    read_yaml,
    to_dict,
)


@dataclass(frozen=True)
class Windows:
    length: int = 128
    stride: int = 96

    def __post_init__(self) -> None:
        if self.stride > self.length:
            raise ValueError(f"stride {self.stride} leaves steps out of windows of {self.length}")


@dataclass(frozen=True)
class Tree:
    windows: Windows = Windows()
    rate: float = 1e-3
    name: str = "starter"
    augment: bool = True
    weights: Path | None = None
    device: Literal["cpu", "cuda"] = "cpu"
    kernel: tuple[int, int] = (3, 3)
    streams: tuple[str, ...] = ("lips", "mel")
    experts: dict[str, Windows] = field(default_factory=dict)
    limit: int | float | None = None


@dataclass(frozen=True)
class Required:
    root: Path


def test_an_empty_mapping_gives_the_defaults() -> None:
    assert from_dict(Tree, {}, "x") == Tree() == from_dict(Tree, None, "x")


def test_a_file_names_only_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("windows:\n  length: 256\nrate: 1e-4\nweights: a.safetensors\nkernel: [5, 1]\n")
    assert load_config(Tree, path) == Tree(
        windows=Windows(256, 96), rate=1e-4, weights=Path("a.safetensors"), kernel=(5, 1)
    )


trees = st.builds(
    Tree,
    windows=st.builds(Windows, length=st.integers(100, 1000), stride=st.integers(1, 100)),
    rate=st.floats(allow_nan=False),
    name=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
    augment=st.booleans(),
    weights=st.none() | st.sampled_from([Path("a"), Path("/b/c d")]),
    device=st.sampled_from(["cpu", "cuda"]),
    kernel=st.tuples(st.integers(), st.integers()),
    streams=st.lists(st.sampled_from(["lips", "mel", "yes", "1e3", "null"])).map(tuple),
    experts=st.dictionaries(st.sampled_from(["lips", "on"]), st.builds(Windows)),
    limit=st.none() | st.integers() | st.floats(allow_nan=False),
)


@given(trees)
def test_to_dict_and_from_dict_undo_each_other_through_yaml(tree: Any) -> None:
    assert from_dict(Tree, yaml.safe_load(yaml.safe_dump(to_dict(tree))), "x") == tree


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"windows": {"lenght": 3}},
            "c.yaml: windows: unknown key ['lenght']; known: ['length', 'stride']",
        ),
        ({"windows": 3}, "c.yaml: windows: expected keys and values, got 3"),
        ({"windows": {"length": 2.0}}, "c.yaml: windows: length: expected int, got 2.0"),
        ({"windows": {"length": True}}, "c.yaml: windows: length: expected int, got True"),
        ({"rate": "fast"}, "c.yaml: rate: expected float, got 'fast'"),
        ({"rate": False}, "c.yaml: rate: expected float, got False"),
        ({"augment": 1}, "c.yaml: augment: expected bool, got 1"),
        ({"name": 7}, "c.yaml: name: expected str, got 7"),
        ({"name": None}, "c.yaml: name: expected str, got None"),
        ({"device": "tpu"}, "c.yaml: device: expected one of ['cpu', 'cuda'], got 'tpu'"),
        ({"kernel": [1]}, "c.yaml: kernel: expected 2 values, got 1: [1]"),
        ({"kernel": [1, "a"]}, "c.yaml: kernel[1]: expected int, got 'a'"),
        ({"streams": "lips"}, "c.yaml: streams: expected a list, got 'lips'"),
        ({"experts": {"a": {"b": 1}}}, "c.yaml: experts: a: unknown key ['b']; known: "),
        ({"limit": "no"}, "c.yaml: limit: expected float, got 'no'"),
        ({"windows": {"stride": 999}}, "c.yaml: windows: stride 999 leaves steps out"),
        ({3: 4}, "c.yaml: unknown key [3]"),
        ([], "c.yaml: expected keys and values, got []"),
    ],
)
def test_an_error_names_the_file_and_the_key(data: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict(Tree, data, "c.yaml")
    assert str(caught.value).startswith(message)


def test_a_key_without_default_must_be_given() -> None:
    with pytest.raises(ConfigError, match=r"^c: missing key \['root'\]$"):
        from_dict(Required, {}, "c")


def test_only_dataclasses_are_built_and_taken_apart() -> None:
    with pytest.raises(TypeError, match="dataclass"):
        from_dict(int, {}, "c")
    with pytest.raises(TypeError, match="dataclass"):
        to_dict({"a": 1})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1", "not YAML"),
        (b"- 1\n", "expected keys and values, got list"),
        (b"\xff\xfe\xff", "cannot be read"),
        (b"a: !!python/object:os.system {}", "not YAML"),
    ],
)
def test_a_file_that_is_no_mapping_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(Tree, path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        load_config(Tree, tmp_path / "none.yaml")


def test_overrides_win_over_the_file_and_the_last_one_over_the_others(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("windows: {stride: 32}\n")
    overrides = ["windows.stride=16", "windows.stride=64", "streams=[flow]", "name=a=b"]
    assert load_config(Tree, path, overrides) == Tree(
        windows=Windows(stride=64), streams=("flow",), name="a=b"
    )


@pytest.mark.parametrize(
    ("overrides", "windows"),
    [
        (["windows.length=64", "windows.stride=48"], Windows(64, 48)),  # 64 alone: under 96
        (["windows.stride=150", "windows.length=200"], Windows(200, 150)),  # 150 alone: over 128
    ],
)
def test_overrides_that_need_each_other_may_come_in_any_order(
    overrides: list[str], windows: Windows
) -> None:
    with pytest.raises(ConfigError, match="leaves steps out"):
        load_config(Tree, None, overrides[:1])
    for order in (overrides, overrides[::-1]):
        assert load_config(Tree, None, order) == Tree(windows=windows)


def test_overrides_leave_their_input_alone() -> None:
    data = {"windows": {"length": 4}}
    apply_overrides(data, ["windows.length=8"])
    assert data == {"windows": {"length": 4}}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("windows", "--set windows: expected key=value"),
        ("=3", "--set =3: expected key=value"),
        ("windows..length=3", "--set windows..length=3: expected key=value"),
        ("rate.fast=3", "--set rate.fast=3: rate is a value"),
        ("name=[", "--set name=[: the value cannot be read"),
        ("windows.lenght=3", "--set: windows: unknown key ['lenght']"),
        ("windows.length=a", "--set: windows: length: expected int, got 'a'"),
    ],
)
def test_an_error_in_an_override_names_its_key(tmp_path: Path, override: str, message: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("rate: 0.5\n")
    with pytest.raises(ConfigError) as caught:
        load_config(Tree, path, [override])
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "name", ["configs/zoo", "configs/heads/map.yaml", "configs/splits.yaml", "configs/starter.yaml"]
)
def test_the_projects_own_configurations_are_found_from_any_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Path(__file__).parents[1] / name
    monkeypatch.chdir(tmp_path)
    assert find_config(name).samefile(here)
    assert here.is_dir() or read_yaml(Path(name)) == yaml.safe_load(here.read_text())


def test_the_readers_own_configuration_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "configs" / "splits.yaml"
    own.parent.mkdir()
    own.write_text("dev: [mine]\n")
    assert read_yaml(Path("configs/splits.yaml")) == {"dev": ["mine"]}


@pytest.mark.parametrize("name", ["splits.yaml", "other/splits.yaml", "configs/absent.yaml"])
def test_no_other_name_leads_to_the_projects_own_configurations(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config(name) == Path(name)
    with pytest.raises(ConfigError, match=rf"^{name}: cannot be read"):
        read_yaml(Path(name))
