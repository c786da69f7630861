"""Which steps of a waveform hold speech: Silero's voice activity detector.

The only module that knows the package silero-vad, and all that it takes of it are the weights of
the 16 kHz network, as safetensors. Its own code is not imported: it would set PyTorch to one
thread, and loads its network as TorchScript.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from extractors.clip import Array
from extractors.clock import SAMPLES_PER_STEP

FRAME = 512  # samples of which the network says one probability
CONTEXT = 64  # samples before them that it hears as well
WINDOW, HOP, REFLECTED = 256, 128, 64  # samples of its short-time spectrum
BINS = WINDOW // 2 + 1
WEIGHTS = "data/silero_vad_16k.safetensors"


class VoiceNetwork(nn.Module):
    """Silero VAD 6 (Silero Team 2024) for 16 kHz: a spectrum, four convolutions, one LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 2 * BINS, WINDOW, HOP, bias=False)  # cosines, then sines
        self.conv1 = nn.Conv1d(BINS, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(64, 128, 3, padding=1)
        self.lstm = nn.LSTM(128, 128)
        self.final_conv = nn.Conv1d(128, 1, 1)

    def forward(
        self, frames: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return probabilities (F,) of speech in successive frames (F, 576), and the LSTM's state.

        All frames are convolved at once; the LSTM alone goes from one to the next.
        """
        x = functional.pad(frames[:, None], (0, REFLECTED), mode="reflect")  # (F, 1, 640)
        cosines, sines = self.stft_conv(x).split(BINS, dim=1)
        x = torch.hypot(cosines, sines)  # (F, 129, 4)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x).relu()
        out, state = self.lstm(x.squeeze(-1), state)  # (F, 128)
        logits: Tensor = self.final_conv(out.relu()[..., None])
        return logits.sigmoid().flatten(), state


@cache
def voice_network() -> VoiceNetwork:
    """Return the network with its weights, loaded once.

    Raises:
        ImportError: silero-vad is not installed.
    """
    package = find_spec("silero_vad")
    if package is None or package.origin is None:
        raise ImportError("speech is found by silero-vad: pip install silero-vad")
    weights = load_file(Path(package.origin).parent / WEIGHTS)
    cell = "lstm_cell."
    state = {
        f"lstm.{name.removeprefix(cell)}_l0" if name.startswith(cell) else name: tensor
        for name, tensor in weights.items()
    }
    network = VoiceNetwork().eval()
    network.load_state_dict(state)
    return network


class SpeechExtractor:
    """How likely each step of a waveform that comes in pieces is speech."""

    def __init__(self) -> None:
        self._network = voice_network()
        self._state: tuple[Tensor, Tensor] | None = None
        self._context = torch.zeros(CONTEXT)
        self._rest = torch.zeros(0)  # samples of the frame that is not full yet
        self._heard = 0  # samples in full frames

    @torch.inference_mode()
    def __call__(self, waveform: Array) -> Tensor:
        """Return probabilities (T,) of speech in the steps of a waveform (T * 640,) at 16 kHz.

        A step takes the highest of the frames that end within it: there is at least one.
        """
        begin = self._heard + len(self._rest)
        samples = torch.cat([self._rest, torch.from_numpy(np.ascontiguousarray(waveform))])
        count = len(samples) // FRAME
        joined = torch.cat([self._context, samples])
        frames = joined[: CONTEXT + count * FRAME].unfold(0, CONTEXT + FRAME, FRAME)
        said, self._state = self._network(frames, self._state)
        ends = self._heard + FRAME * torch.arange(1, count + 1)
        steps = (ends - 1) // SAMPLES_PER_STEP - begin // SAMPLES_PER_STEP
        self._heard += count * FRAME
        self._rest = samples[count * FRAME :].clone()
        self._context = joined[count * FRAME : count * FRAME + CONTEXT].clone()
        probabilities = torch.zeros(len(waveform) // SAMPLES_PER_STEP)
        return probabilities.scatter_reduce(0, steps, said, "amax")
