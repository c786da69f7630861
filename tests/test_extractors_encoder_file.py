"""Files of encoders: the own form in any precision, folders of others, and their digests."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import drawn_encoders as drawn
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from extractors.encoder import EncoderConfig, VisionTransformer
from extractors.encoder_file import NoInit, load_encoder, multiplied_out, save_encoder
from extractors.encoder_store import FORMAT, encoder_sha256
from extractors.errors import InputError

SMALL = EncoderConfig(
    name="small", width=16, heads=2, hidden=24, layers=2, patch=8, image=32, activation="gelu"
)


@pytest.fixture
def encoder() -> VisionTransformer:
    torch.manual_seed(3)
    made = VisionTransformer(SMALL).eval()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.2)
    return made


def test_int8_matrices_are_multiplied_out_by_their_rows_scales() -> None:
    kept = {
        "a.weight": torch.tensor([[1, -2], [3, 4]], dtype=torch.int8),
        "a.scale": torch.tensor([0.5, 2.0]),
        "b": torch.tensor([1.5]).half(),
    }
    full = multiplied_out(kept)
    assert torch.equal(full["a.weight"], torch.tensor([[0.5, -1.0], [6.0, 8.0]]))
    assert full.keys() == {"a.weight", "b"}
    assert full["b"].dtype == torch.float32


def test_an_encoder_comes_back_from_its_file_whole_or_in_part(
    encoder: VisionTransformer, tmp_path: Path
) -> None:
    path = tmp_path / "e.safetensors"
    save_encoder(path, SMALL, encoder.state_dict())
    again, half = load_encoder(path), load_encoder(path, 1)
    pictures = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(again(pictures, [2])[0], encoder(pictures, [2])[0])
        assert torch.equal(half(pictures, [1])[0], encoder(pictures, [1])[0])
    with pytest.raises(InputError, match="has 2 blocks, and 3 are needed"):
        load_encoder(path, 3)


def test_a_file_that_holds_no_encoder_is_refused_by_name(tmp_path: Path) -> None:
    other, broken = tmp_path / "other.safetensors", tmp_path / "broken.safetensors"
    save_file({"a": torch.zeros(1)}, other)
    save_file({"a": torch.zeros(1)}, broken, {"format": FORMAT, "config": json.dumps({"x": 1})})
    for path in (other, broken, tmp_path / "none.safetensors"):
        with pytest.raises(InputError, match=path.name):
            load_encoder(path)


def test_an_encoder_of_another_form_can_be_kept_in_the_own_one(tmp_path: Path) -> None:
    folder = drawn.write(tmp_path / "theirs", drawn.dinov2(4), drawn.SETTINGS["dinov2"])
    theirs = load_encoder(folder)
    save_encoder(tmp_path / "own.safetensors", theirs.config, theirs.state_dict())
    own = load_encoder(tmp_path / "own.safetensors")
    pictures = torch.randint(0, 256, (1, 3, 12, 12), dtype=torch.uint8)
    assert own.config == theirs.config
    assert torch.equal(own(pictures, [2])[0], theirs(pictures, [2])[0])


def test_pickles_and_folders_without_one_safetensors_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(InputError, match="only safetensors are read"):
        load_encoder(tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"no safetensors file; \['pytorch_model.bin'\]"):
        load_encoder(tmp_path)
    for name in ("a", "b"):
        save_file({"x": torch.zeros(1)}, tmp_path / f"{name}.safetensors")
    with pytest.raises(InputError, match="several weights files, name one of"):
        load_encoder(tmp_path)


def test_a_digest_changes_with_weights_and_settings_and_is_a_single_file_s_own(
    encoder: VisionTransformer, tmp_path: Path
) -> None:
    own = tmp_path / "own.safetensors"
    save_encoder(own, SMALL, encoder.state_dict())
    (tmp_path / "config.json").write_text("{}")  # of something else: the own form has none
    assert encoder_sha256(own) == hashlib.sha256(own.read_bytes()).hexdigest()
    folder = drawn.write(tmp_path / "theirs", drawn.dinov2(), drawn.SETTINGS["dinov2"])
    seen = {encoder_sha256(folder)}
    assert encoder_sha256(folder / "model.safetensors") in seen
    (folder / "preprocessor_config.json").write_text("{}")
    seen.add(encoder_sha256(folder))
    drawn.write(folder, drawn.dinov2(4), {})
    seen.add(encoder_sha256(folder))
    assert len(seen) == 3
    with pytest.raises(InputError, match="there is no such file or folder of weights"):
        encoder_sha256(tmp_path / "none.safetensors")


def test_no_first_weights_are_drawn_for_an_encoder_from_a_file() -> None:
    with NoInit():
        layer = nn.Linear(3, 2, device="meta")
        kept = nn.init.constant_(torch.full((2,), 7.0), 1.0)
        filled = nn.init.uniform_(tensor=torch.full((2,), 7.0))
    assert layer.weight.is_meta
    assert kept.tolist() == filled.tolist() == [7.0, 7.0]
    assert nn.init.constant_(kept, 1.0).tolist() == [1.0, 1.0]
