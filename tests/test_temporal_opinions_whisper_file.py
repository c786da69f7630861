"""CTranslate2's files of Whisper: what is needed is read, and what is none is named."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pipelines.data.manifest import WHOLE
from pipelines.data.samples import Sample
from pipelines.detection.detector import Detector, load_detector, save_detector
from pipelines.detection.detector_config import DetectorConfig
from pipelines.detection.opinions import OPINIONS
from pipelines.train.clips import TrainClip
from pipelines.train.fit import Run
from pipelines.train.opinions import fit_in_closed_form
from temporal.opinions.whisper import WhisperOpinion
from temporal.opinions.whisper_file import LAYERS, read_whisper
from temporal.opinions.whisper_stem import WhisperStem


def write_model(path: Path, variables: dict[str, Tensor], spec: str = "WhisperSpec") -> Path:
    """Write variables as CTranslate2 does: all numbers little-endian, names ended by a zero."""

    def named(text: str) -> bytes:
        return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"

    parts = [struct.pack("<I", 6), named(spec), struct.pack("<II", 3, len(variables))]
    for name, tensor in variables.items():
        numbers = tensor.numpy().astype(np.float16)
        parts += [named(name), struct.pack(f"<B{numbers.ndim}I", numbers.ndim, *numbers.shape)]
        parts += [struct.pack("<BI", 4, numbers.nbytes), numbers.tobytes()]
    path.write_bytes(b"".join(parts))
    return path


def whole_model(stem: WhisperStem) -> dict[str, Tensor]:
    """Return a stem's state by CTranslate2's names, among layers that are not needed."""
    variables = {"decoder/embeddings/weight": torch.ones(7, 512)}
    for theirs, ours in LAYERS.items():
        norm = theirs.endswith("layer_norm")
        for part, name in (
            ("gamma" if norm else "weight", "weight"),
            ("beta" if norm else "bias", "bias"),
        ):
            variables[f"encoder/{theirs}/{part}"] = stem.state_dict()[f"{ours}{name}"]
    variables["encoder/layer_1/ffn/linear_0/weight"] = torch.ones(3)
    variables["encoder/num_heads"] = torch.tensor(8.0)
    return variables


def test_a_file_gives_back_the_layers_that_were_written(tmp_path: Path) -> None:
    torch.manual_seed(0)
    stem = WhisperStem()
    state = read_whisper(write_model(tmp_path / "model.bin", whole_model(stem)))
    assert state.keys() == stem.state_dict().keys()
    for name, tensor in stem.state_dict().items():
        assert torch.equal(state[name], tensor.half())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        struct.pack("<I", 6),
        b"\x06\0\0\0\x0c\0WhisperSpec\0\x03\0\0\0\xff\xff\xff\xff",
    ],
)
def test_files_that_are_no_whisper_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.bin: not CTranslate2's file of a Whisper model"):
        read_whisper(path)


def test_other_models_and_other_sizes_are_refused(tmp_path: Path) -> None:
    path = write_model(tmp_path / "bert.bin", {}, spec="TransformerSpec")
    with pytest.raises(ValueError, match="TransformerSpec"):
        read_whisper(path)
    tiny = {name: tensor[..., :384] for name, tensor in whole_model(WhisperStem()).items()
            if tensor.ndim}  # fmt: skip
    path = write_model(tmp_path / "tiny.bin", tiny)
    with pytest.raises(ValueError, match=r"tiny\.bin: not the weights of Whisper base"):
        WhisperOpinion(100).borrow(path)


def test_voices_that_vary_less_are_told_from_those_that_vary_more(tmp_path: Path) -> None:
    """Noise whose loudness moves is called genuine, steady noise synthetic."""
    torch.manual_seed(0)
    path = write_model(tmp_path / "model.bin", whole_model(WhisperStem()))
    detector = Detector(DetectorConfig()).eval()
    run = Run(tmp_path / "run", 0, "cpu", "float32")
    clips = [noise_clip(seed) for seed in range(16)]
    fit_in_closed_form(OPINIONS["whisper"], detector, clips, {"whisper": str(path)}, run)
    mask = torch.ones(1, 50, dtype=torch.bool)
    said = [
        float(detector.network("whisper")(noise_clip(seed).mel(0, 50, None)[None], mask).mean())
        for seed in range(100, 108)
    ]
    assert min(said[1::2]) > max(said[::2])
    save_detector(tmp_path / "w.safetensors", detector, {})
    again = load_detector(tmp_path / "w.safetensors")
    kept, made = (d.network("whisper").state_dict().values() for d in (again, detector))
    assert all(torch.equal(a, b) for a, b in zip(kept, made, strict=True))


def noise_clip(seed: int) -> TrainClip:
    """Return two seconds of noise: steady and fake if the seed is odd."""
    generator = torch.Generator().manual_seed(seed)
    noise = 0.1 * torch.randn(50 * 640, generator=generator)
    if seed % 2 == 0:
        noise *= torch.sin(torch.arange(len(noise)) / 800).abs()
    audio = WHOLE if seed % 2 else ()
    method = "steady" if seed % 2 else "real"
    sample = Sample(Path(f"{seed}.wav"), "train", method, "noise", "", None, audio, None)
    return TrainClip(sample, None, (noise * 32767).short())
