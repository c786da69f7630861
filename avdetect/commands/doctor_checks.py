"""The doctor's checks: each uses a library on a small example, and describes what works."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any


class UnexpectedError(Exception):
    """A library works, but not as expected; the message says what is wrong."""


def expect(holds: bool, message: str) -> None:
    """Raise UnexpectedError with a message unless a condition holds."""
    if not holds:
        raise UnexpectedError(message)


def check_python() -> str:
    """Return version and path of the running Python."""
    return f"{sys.version.split()[0]} at {sys.executable}"


def check_torch() -> str:
    """Convolve ones in three dimensions."""
    import torch

    video = torch.ones(1, 1, 4, 8, 8)
    out = torch.nn.functional.conv3d(video, torch.ones(1, 1, 3, 3, 3))
    expect(bool((out == 27).all()), "a 3D convolution of ones is wrong")
    return f"3D convolution right, {torch.get_num_threads()} threads"


def check_cuda() -> str:
    """Sum ones on a CUDA device."""
    import torch

    expect(torch.cuda.is_available(), "no CUDA device; the CPU does the work")
    torch.ones(8, device="cuda").sum().item()
    return torch.cuda.get_device_name()


def check_torchaudio() -> str:
    """Compute the mel spectrogram of a tone."""
    import torch
    from torchaudio.transforms import MelSpectrogram

    tone = torch.sin(2 * torch.pi * 1000 / 16_000 * torch.arange(16_000))
    mel = MelSpectrogram(16_000, n_fft=512, hop_length=160, n_mels=80)(tone)
    expect(tuple(mel.shape) == (80, 101), f"mel of the wrong shape: {tuple(mel.shape)}")
    return "mel spectrogram right"


def check_pytorchvideo() -> str:
    """Convolve in (2+1) dimensions."""
    import torch
    from pytorchvideo.layers.convolutions import Conv2plus1d

    layer = Conv2plus1d(
        conv_t=torch.nn.Conv3d(2, 4, (3, 1, 1), padding=(1, 0, 0)),
        norm=None,
        activation=None,
        conv_xy=torch.nn.Conv3d(4, 4, (1, 3, 3), padding=(0, 1, 1)),
    )
    expect(layer(torch.zeros(1, 2, 4, 8, 8)).shape[1] == 4, "a (2+1)D convolution is wrong")
    return "(2+1)D convolution right"


def check_pyav() -> str:
    """Write and read a clip."""
    import av

    with tempfile.TemporaryDirectory() as folder:
        path = _write_example(Path(folder))
        with av.open(str(path)) as container:
            frames = sum(1 for _ in container.decode(video=0))
    expect(frames == 10, f"10 frames written, {frames} read")
    return f"H.264 and AAC written and read, FFmpeg {av.ffmpeg_version_info}"


def check_decord() -> str:
    """Read a clip."""
    import decord

    with tempfile.TemporaryDirectory() as folder:
        frames = len(decord.VideoReader(str(_write_example(Path(folder)))))
    expect(frames == 10, f"10 frames written, {frames} read")
    return "H.264 read"


def check_media() -> str:
    """Read a clip as avdetect does."""
    from extractors.media import read_clip

    with tempfile.TemporaryDirectory() as folder:
        clip = read_clip(_write_example(Path(folder)))
    expect(clip.steps == 10, f"10 steps written, {clip.steps} read")
    expect(clip.frames is not None and clip.waveform is not None, "picture or sound was lost")
    return "picture and sound of a clip on one clock"


def _write_example(folder: Path) -> Path:
    """Write a clip of 10 frames and return its path."""
    from avdetect.example import example_clip

    path = folder / "example.mp4"
    example_clip(path, seconds=0.4)
    return path


def check_mediapipe() -> str:
    """Detect a drawn face."""
    from avdetect.example import example_frames
    from extractors.faces import track_faces

    tracks = track_faces(example_frames(0.4))
    expect(len(tracks) == 1, f"one face drawn, {len(tracks)} found")
    return f"{tracks[0].landmarks.shape[1]} landmarks on a drawn face"


def check_opencv() -> str:
    """Measure a known shift."""
    import cv2
    import numpy as np

    noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 3)
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = dis.calc(image, np.roll(image, 2, axis=1), np.zeros((64, 64, 2), np.float32))
    shift = float(np.median(flow[16:-16, 16:-16, 0]))
    expect(abs(shift - 2) < 0.5, f"an image moved by 2 pixels seems to move by {shift:.2f}")
    return "optical flow of a known shift right"


def check_librosa() -> str:
    """Resample a tone."""
    import librosa
    import numpy as np

    tone = np.sin(2 * np.pi * 1000 / 16_000 * np.arange(4000)).astype(np.float32)
    resampled = librosa.resample(tone, orig_sr=16_000, target_sr=8_000)
    expect(len(resampled) == 2000, f"2000 samples expected, {len(resampled)} came")
    return "resampling right"


def check_c2pa() -> str:
    """Query the file types that it reads."""
    import c2pa

    expect("video/mp4" in c2pa.Reader.get_supported_mime_types(), "cannot read MP4")
    return "reads content credentials"


def check_weights() -> str:
    """Open the weights of the package."""
    from safetensors import safe_open

    folder = resources.files("avdetect") / "weights"
    files = [file for file in folder.iterdir() if file.name.endswith(".safetensors")]
    expect(bool(files), "the package holds no weights; give --weights FILE")
    with resources.as_file(files[0]) as path:
        with safe_open(path, framework="pt") as tensors:
            count = len(list(tensors.keys()))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{files[0].name}: {count} tensors, sha256 {digest[:12]}…"


def check_plugins() -> str:
    """Load what other packages add."""
    from extractors.added_streams import plugged_streams
    from extractors.plugins import Plugins
    from pipelines.detection.opinions import plugged_opinions
    from pipelines.zoo.parts import plugged_parts
    from temporal.added_experts import plugged_experts

    groups: dict[str, Plugins[Any]] = {
        "stream": plugged_streams(), "expert": plugged_experts(), "opinion": plugged_opinions(),
        "part": plugged_parts(),
    }  # fmt: skip
    broken = [sentence for plugged in groups.values() for sentence in plugged.broken]
    expect(not broken, "; ".join(broken))
    found = [
        f"{kind} {name} of {package}"
        for kind, plugged in groups.items()
        for name, package in plugged.origins.items()
    ]
    return ", ".join(found) or "none"


def check_pyworld() -> str:
    """Estimate the pitch of silence."""
    import numpy as np
    import pyworld

    pyworld.harvest(np.zeros(1600), 16_000)
    return "voice resynthesis for forging"


def check_espeak() -> str:
    """Look for the program."""
    program = shutil.which("espeak-ng")
    expect(program is not None, "speech for forging; apt-get install espeak-ng")
    return "speech for forging"
