"""Tries everything that avdetect needs on a small example: findings out, one a check."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path

from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class Check:
    """What is tried: `run` says what it saw, or raises."""

    name: str
    run: Callable[[], str]
    package: str | None = None  # whose version is shown
    required: bool = True


@dataclass(frozen=True)
class Finding:
    """What came of a check."""

    name: str
    version: str
    works: bool
    required: bool
    detail: str


class UnexpectedError(Exception):
    """A library works, but not as it should; the message says in what."""


def examine(checks: Sequence[Check] | None = None) -> list[Finding]:
    """Return a finding for every check, in order; a check that fails stops no other."""
    return [_try(check) for check in (CHECKS if checks is None else checks)]


def findings_table(findings: Sequence[Finding]) -> Table:
    """Return the findings as a table for a terminal."""
    table = Table("", "what", "version", "result", box=None, padding=(0, 2, 0, 0))
    for finding in findings:
        if finding.works:
            mark = Text("ok", style="green")
        elif finding.required:
            mark = Text("FAILS", style="bold red")
        else:
            mark = Text("absent", style="yellow")
        table.add_row(mark, finding.name, finding.version, Text(finding.detail))
    return table


def _try(check: Check) -> Finding:
    try:
        works, detail = True, check.run()
    except UnexpectedError as error:
        works, detail = False, str(error)
    except Exception as error:  # noqa: BLE001  whatever it is, it is the finding
        works, detail = False, f"{type(error).__name__}: {error}"
    return Finding(check.name, _version(check.package), works, check.required, detail)


def _version(package: str | None) -> str:
    if package is None:
        return ""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise UnexpectedError(message)


def _python() -> str:
    return f"{sys.version.split()[0]} at {sys.executable}"


def _torch() -> str:
    import torch

    video = torch.ones(1, 1, 4, 8, 8)
    out = torch.nn.functional.conv3d(video, torch.ones(1, 1, 3, 3, 3))
    _expect(bool((out == 27).all()), "a 3D convolution of ones is wrong")
    return f"3D convolution right, {torch.get_num_threads()} threads"


def _cuda() -> str:
    import torch

    _expect(torch.cuda.is_available(), "no CUDA device; the CPU does the work")
    torch.ones(8, device="cuda").sum().item()
    return torch.cuda.get_device_name()


def _torchaudio() -> str:
    import torch
    from torchaudio.transforms import MelSpectrogram

    tone = torch.sin(2 * torch.pi * 1000 / 16_000 * torch.arange(16_000))
    mel = MelSpectrogram(16_000, n_fft=512, hop_length=160, n_mels=80)(tone)
    _expect(tuple(mel.shape) == (80, 101), f"mel of the wrong shape: {tuple(mel.shape)}")
    return "mel spectrogram right"


def _pytorchvideo() -> str:
    import torch
    from pytorchvideo.layers.convolutions import Conv2plus1d

    layer = Conv2plus1d(
        conv_t=torch.nn.Conv3d(2, 4, (3, 1, 1), padding=(1, 0, 0)),
        norm=None,
        activation=None,
        conv_xy=torch.nn.Conv3d(4, 4, (1, 3, 3), padding=(0, 1, 1)),
    )
    _expect(layer(torch.zeros(1, 2, 4, 8, 8)).shape[1] == 4, "a (2+1)D convolution is wrong")
    return "(2+1)D convolution right"


def _pyav() -> str:
    import av

    with tempfile.TemporaryDirectory() as folder:
        path = _write_example(Path(folder))
        with av.open(str(path)) as container:
            frames = sum(1 for _ in container.decode(video=0))
    _expect(frames == 10, f"10 frames written, {frames} read")
    return f"H.264 and AAC written and read, FFmpeg {av.ffmpeg_version_info}"


def _decord() -> str:
    import decord

    with tempfile.TemporaryDirectory() as folder:
        frames = len(decord.VideoReader(str(_write_example(Path(folder)))))
    _expect(frames == 10, f"10 frames written, {frames} read")
    return "H.264 read"


def _media() -> str:
    from extractors.media import read_clip

    with tempfile.TemporaryDirectory() as folder:
        clip = read_clip(_write_example(Path(folder)))
    _expect(clip.steps == 10, f"10 steps written, {clip.steps} read")
    _expect(clip.frames is not None and clip.waveform is not None, "picture or sound was lost")
    return "picture and sound of a clip on one clock"


def _write_example(folder: Path) -> Path:
    """Return the path of a clip of 10 frames."""
    from avdetect.example import example_clip

    path = folder / "example.mp4"
    example_clip(path, seconds=0.4)
    return path


def _mediapipe() -> str:
    from avdetect.example import example_frames
    from extractors.faces import track_faces

    tracks = track_faces(example_frames(0.4))
    _expect(len(tracks) == 1, f"one face drawn, {len(tracks)} found")
    return f"{tracks[0].landmarks.shape[1]} landmarks on a drawn face"


def _opencv() -> str:
    import cv2
    import numpy as np

    noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 3)
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = dis.calc(image, np.roll(image, 2, axis=1), np.zeros((64, 64, 2), np.float32))
    shift = float(np.median(flow[16:-16, 16:-16, 0]))
    _expect(abs(shift - 2) < 0.5, f"an image moved by 2 pixels seems to move by {shift:.2f}")
    return "optical flow of a known shift right"


def _librosa() -> str:
    import librosa
    import numpy as np

    tone = np.sin(2 * np.pi * 1000 / 16_000 * np.arange(4000)).astype(np.float32)
    resampled = librosa.resample(tone, orig_sr=16_000, target_sr=8_000)
    _expect(len(resampled) == 2000, f"2000 samples expected, {len(resampled)} came")
    return "resampling right"


def _c2pa() -> str:
    import c2pa

    _expect("video/mp4" in c2pa.Reader.get_supported_mime_types(), "cannot read MP4")
    return "reads content credentials"


def _weights() -> str:
    from safetensors import safe_open

    folder = resources.files("avdetect") / "weights"
    files = [file for file in folder.iterdir() if file.name.endswith(".safetensors")]
    _expect(bool(files), "the package holds no weights; give --weights FILE")
    with resources.as_file(files[0]) as path:
        with safe_open(path, framework="pt") as tensors:
            count = len(list(tensors.keys()))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{files[0].name}: {count} tensors, sha256 {digest[:12]}…"


def _pyworld() -> str:
    import numpy as np
    import pyworld

    pyworld.harvest(np.zeros(1600), 16_000)
    return "voice resynthesis for forging"


def _espeak() -> str:
    found = shutil.which("espeak-ng")
    _expect(found is not None, "speech for forging; apt-get install espeak-ng")
    return "speech for forging"


CHECKS = (
    Check("Python", _python),
    Check("PyTorch", _torch, "torch"),
    Check("torchaudio", _torchaudio, "torchaudio"),
    Check("pytorchvideo", _pytorchvideo, "pytorchvideo"),
    Check("PyAV", _pyav, "av"),
    Check("decord", _decord, "decord", required=False),
    Check("media reader", _media),
    Check("OpenCV", _opencv, "opencv-contrib-python-headless"),
    Check("MediaPipe", _mediapipe, "mediapipe"),
    Check("librosa", _librosa, "librosa"),
    Check("C2PA", _c2pa, "c2pa-python"),
    Check("weights", _weights, "safetensors"),
    Check("CUDA", _cuda, required=False),
    Check("pyworld", _pyworld, "pyworld", required=False),
    Check("espeak-ng", _espeak, required=False),
)
