"""The table of opinions: the sources of evidence that a detector weighs.

An opinion is a logit for every step (or one for a window, which holds for all its steps), above 0
for a forgery of its modality. The detector runs every opinion of its `DetectorConfig.opinions`,
calibration fits their weights, and training fits their networks: all three iterate over this table
and name no opinion.

To add one:

1. Write its network in a file of its own, such as `temporal/opinions/speech.py`. `forward` takes
   what `reads` names, then the mask (N, L) of valid steps, and returns logits (N, L) or (N,). One
   that is fitted in closed form is a `ClosedFormOpinion`; one that holds layers of a published
   network loads them in `borrow`.
2. Add its row below, or, in a package of your own, name the row as an entry point of the group
   `avdetect.opinions` (docs/plugins.md), where streams and experts can be added too.

A recipe then lists it by its name in `detector.opinions`, and trains it in the stage of its name.
Weights that were trained without it stay valid: their config does not name it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from torch import nn

from extractors.added_streams import ADDED, of_sound, plugged_streams
from extractors.plugins import Plugins, load_plugins
from extractors.streams import STREAMS
from fusion.transformer import LagProbe
from pipelines.detection.detector_config import DetectorConfig
from temporal.added_experts import plugged_experts, streams_of_experts
from temporal.experts import EXPERTS
from temporal.localizer import PictureLocalizer, SoundLocalizer
from temporal.opinions.encoder_features import EncoderFeaturesOpinion
from temporal.opinions.portrait import PortraitOpinion
from temporal.opinions.probe import StepProbe
from temporal.opinions.sharpness import SharpnessOpinion
from temporal.opinions.speech import SpeechOpinion
from temporal.opinions.steadiness import SteadinessOpinion
from temporal.opinions.utterance import UtteranceOpinion
from temporal.opinions.whisper import WhisperOpinion
from temporal.segment import MODALITIES

Level = Literal["step", "clip"]
Source = Literal["streams", "tokens", "fusion"]
Fit = Literal["with its expert", "by gradient", "in closed form"]

ABSENT = -50.0  # a localizer's logit where it has nothing to judge; in a noisy-or 0 would be doubt
PICTURE = ("appearance", "flow", "depth", "lips")  # experts that the picture's localizer reads


@dataclass(frozen=True)
class Opinion:
    """One source of evidence."""

    name: str
    modality: str  # visual, audio or sync: what it is about
    # Whether it separates forged from real steps of the same clip (`step`), or is evidence on the
    # clip as a whole (`clip`), which calibration weighs separately.
    level: Level
    source: Source  # its input: streams as extracted, tokens of experts, or fusion's output
    reads: tuple[str, ...] = ()  # names of streams (and `size`) or of tokens (and `lag`)
    alone: bool = False  # applies only where no streams of the picture are present
    # A localizer also proposes its modality's segments, and is joined with the sum of the others by
    # noisy-or: it knows what stands out in a clip, they what the clip as a whole is like.
    localizes: bool = False
    hears: str = ""  # the opinion on the sound whose layers of Whisper its network reads too
    fades: bool = False  # relies on fine detail, which strong compression removes
    calibrated: bool = False  # its logit is calibrated by its fit, on left-out sources
    joined: tuple[str, ...] = ()  # if calibrated: opinions that score whole clips beside it
    network: Callable[[DetectorConfig], nn.Module] | None = None
    fit: Fit | None = None  # None: it has no parameters, or is trained with fusion
    at: str = ""  # prefix of its network in the weights file; empty: its name

    def applies(self, names: Collection[str]) -> bool:
        """Return whether it can be formed from streams or tokens of these names."""
        read = set(self.reads) <= set(names)
        return read and (not self.alone or all(map(of_sound, names)))


def _probe(expert: str, modality: str) -> Opinion:
    """Return the opinion of one expert alone: a linear probe on its tokens."""
    return Opinion(
        expert, modality, "step", "tokens", (expert,), fit="with its expert",
        network=lambda config: StepProbe(config.experts.dim), at=f"probes.{expert}",
    )  # fmt: skip


def _fusion(modality: str) -> Opinion:
    """Return the opinion of fusion, which reads all tokens together."""
    return Opinion(f"fusion of {modality}", modality, "step", "fusion")


OPINIONS: dict[str, Opinion] = {
    opinion.name: opinion
    for opinion in (
        _probe("appearance", "visual"),
        _probe("flow", "visual"),
        _probe("depth", "visual"),
        _probe("mel", "audio"),
        # whether lips and voice fit
        Opinion("lag", "sync", "step", "tokens", ("lag",), at="lag_probe",
                network=lambda config: LagProbe(config.lag_near, config.lag_far)),
        # whether the face is as sharp as its size lets expect
        Opinion("sharpness", "visual", "clip", "streams", ("appearance", "size"), fades=True,
                network=lambda config: SharpnessOpinion(config.sharpness_reach),
                fit="in closed form"),
        # whether a picture encoder's features are of a generated face
        Opinion("portrait", "visual", "clip", "streams", ("portrait",), fades=True, calibrated=True,
                network=lambda c: PortraitOpinion(len(c.portrait), c.portrait_width),
                fit="in closed form"),
        # whether it moves as steadily as faces do
        Opinion("steadiness", "visual", "clip", "tokens", ("flow",), fit="in closed form",
                network=lambda config: SteadinessOpinion(config.experts.dim, config.opinion_reach)),
        # whether the voice varies as voices do, in the sound expert's tokens ...
        Opinion("speech", "audio", "step", "tokens", ("mel",), fit="in closed form",
                network=lambda config: SpeechOpinion(config.experts.dim, config.opinion_reach)),
        # ... and in those of Whisper
        Opinion("whisper", "audio", "clip", "streams", ("mel",), alone=True, fit="in closed form",
                network=lambda config: WhisperOpinion(config.opinion_reach)),
        # whether Whisper's tokens are distributed as those of voices are
        Opinion("utterance", "audio", "clip", "streams", ("mel",), alone=True, calibrated=True,
                joined=("mel",), fit="in closed form",
                network=lambda config: UtteranceOpinion(config.opinion_reach)),
        # whether a speech encoder's features are
        Opinion("speech_features", "audio", "clip", "streams", ("speech_features",), alone=True,
                calibrated=True, joined=("mel",), fit="in closed form",
                network=lambda c: EncoderFeaturesOpinion(len(c.speech_layers), c.speech_width,
                                                        c.opinion_reach)),
        # ... and whether a lip reader's are those of a mouth that speaks
        Opinion("lip_features", "visual", "clip", "streams", ("lip_features",), calibrated=True,
                fit="in closed form",
                network=lambda c: EncoderFeaturesOpinion(len(c.lip_layers), c.lip_width,
                                                         c.opinion_reach)),
        # which stretches of the sound differ from the rest of the clip
        Opinion("localizer of sound", "audio", "step", "streams", ("mel",), alone=True,
                localizes=True, hears="utterance",
                network=lambda config: SoundLocalizer(config.experts, config.localizer,
                                                      config.localization),
                at="localizers.sound"),
        # ... and of the picture
        Opinion("localizer of picture", "visual", "step", "tokens", PICTURE, localizes=True,
                network=lambda c: PictureLocalizer(len(PICTURE), c.experts.dim, c.localizer,
                                                   c.localization), at="localizers.picture"),
        *map(_fusion, MODALITIES),
    )
}  # fmt: skip


GROUP = "avdetect.opinions"  # of the entry points of other packages, each an Opinion


@cache
def plugged_opinions() -> Plugins[Opinion]:
    """Return the opinions that other packages add, by name; their code is loaded at this call."""
    return load_plugins(GROUP, _usable)


def _usable(name: str, row: object) -> Opinion:
    """Return a plug-in's row, with a place of its own in the weights.

    Raises:
        ValueError: it is no row that a detector can use.
    """
    if not isinstance(row, Opinion) or row.network is None:
        raise ValueError("it is no Opinion with a network")
    if row.name != name or name in OPINIONS or "." in name:
        raise ValueError(f"its row must be named {name!r}, without a point and unlike avdetect's")
    known = {
        "streams": {*STREAMS, "size", *ADDED, *plugged_streams().found},
        "tokens": {*EXPERTS, "lag", *plugged_experts().found},
    }.get(row.source, set())
    if row.modality not in MODALITIES or not row.reads or not set(row.reads) <= known:
        raise ValueError(f"it cannot read {list(row.reads)} of {row.source} on {row.modality}")
    if row.fit == "with its expert" and (row.source, row.reads) != ("tokens", (name,)):
        raise ValueError(f"to be trained with its expert it must read the tokens of {name!r} alone")
    return replace(row, at=f"plugged.{name}")


def known_opinions() -> dict[str, Opinion]:
    """Return the rows of the table, then those of plug-ins, by name."""
    return {**OPINIONS, **plugged_opinions().found}


def opinions_of(config: DetectorConfig) -> tuple[Opinion, ...]:
    """Return the rows that a config names, in its order.

    Plug-ins are loaded only for names that the table has not.

    Raises:
        ValueError: it names one that is neither in the table nor a plug-in's, or one twice, or not
            the one that another hears by.
    """
    named = config.opinions
    rows = OPINIONS if set(named) <= OPINIONS.keys() else known_opinions()
    if len(set(named)) < len(named):
        raise ValueError(f"opinions must be different ones, got {list(named)}")
    unknown = [name for name in named if name not in rows]
    if unknown:
        plugged = plugged_opinions()
        installed = [f"{n} of {origin}" for n, origin in plugged.origins.items()] or "none"
        broken = (*plugged_streams().broken, *plugged_experts().broken, *plugged.broken)
        left_out = "".join(f"; {sentence}" for sentence in broken)
        raise ValueError(
            f"opinions must be of {list(OPINIONS)} or of an installed plug-in ({GROUP}: "
            f"{installed}), got {unknown}{left_out}"
        )
    chosen = tuple(rows[name] for name in named)
    for row in chosen:
        if row.hears and row.hears not in named:
            raise ValueError(f"{row.name!r} hears by {row.hears!r}, which opinions must name too")
    return chosen


def streams_behind(token: str) -> frozenset[str]:
    """Return the streams from which a token of `Detector.tokens` is computed."""
    rows = OPINIONS if token in {*OPINIONS, *EXPERTS, "lag"} else known_opinions()
    if token in rows and rows[token].source == "streams":
        return frozenset(rows[token].reads) - {"size"}
    experts, reads = (
        ("lips", "voice") if token == "lag" else (token,),
        streams_of_experts([[token]]),
    )
    return frozenset(stream for expert in experts for stream in reads[expert])


def streams_read(opinion: Opinion) -> frozenset[str]:
    """Return the streams that an opinion reads, directly or through the tokens it reads."""
    if opinion.source == "streams":
        return frozenset(opinion.reads)
    return frozenset().union(*map(streams_behind, opinion.reads))


def hears(token: str) -> bool:
    """Return whether a token of `Detector.tokens` depends on the sound alone."""
    return all(map(of_sound, streams_behind(token)))


def added_streams_of(config: DetectorConfig) -> tuple[str, ...]:
    """Return the streams besides `STREAMS` that the opinions of a config read."""
    read = frozenset().union(*map(streams_read, opinions_of(config)))
    return tuple(sorted(read - {*STREAMS, "size"}))
