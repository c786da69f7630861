"""What the frozen parts say of clips: a few numbers for each face and sound that is judged."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from extractors.media import MediaConfig, MediaInfo, file_sha256, probe
from extractors.streams import Streams
from pipelines.detection.compression import believed, bits_a_pixel
from pipelines.detection.detector import Detector
from pipelines.detection.judge_config import JudgeConfig
from pipelines.detection.notes import Notes
from pipelines.detection.opinions import ABSENT
from pipelines.detection.pictures import judged_pictures, known_share, looked_at, weighted_by_bits
from pipelines.detection.pooling import any_logit, clip_peaks
from pipelines.detection.session import DetectorSession
from pipelines.detection.sounds import judged_sounds, of_own_length
from pipelines.detection.timelines import Timeline, clip_logit, join_timelines, judge_blocks
from pipelines.detection.visibility import heard_steps, visible_share
from pipelines.storage.files import write_by
from pipelines.streams.stream_cache import Extract
from pipelines.train.calibrated import calibrated_rows
from temporal.opinions.paired import PairedRule
from temporal.segment import MODALITIES
from temporal.windows import Windows, stitch_windows

COLUMNS = ("visual", "audio")  # modalities that are adapted
Reduce = Callable[[str, Tensor], Tensor]  # modality, features (T, F) -> what is kept of them (T, K)


@dataclass(frozen=True, eq=False)
class JudgedTrack:
    """A face or a sound of a clip, judged. Its clip logit is `any_logit` of the first two.

    A change of the rule by d, for this track's features, makes `summed + gain * d` of `summed`.
    """

    column: int  # of `COLUMNS`
    summed: float  # clip logit of the summed opinions
    alone: float  # of the localizers; `ABSENT` without
    gain: float  # by how much the logit of the rule counts in `summed`
    seen: float  # 0 to 1: how much of the calibrated logit counts, see `picture_logits`
    point: Tensor | None  # (K,) mean of what was kept of the rule's features; None: there is none


@dataclass(frozen=True, eq=False)
class JudgedFile:
    """The judged tracks of a file, and how much of its faces could be judged, 0 to 1."""

    tracks: list[JudgedTrack]
    known: float


def rule_of(detector: Detector, modality: str) -> tuple[int, PairedRule] | None:
    """Return row and network of the linear rule that scores a modality's clips; None: no such."""
    for row in calibrated_rows(detector, modality):
        network = detector.network(detector.opinions[row].name)
        if isinstance(network, PairedRule):
            return row, network
    return None


def kept_info(path: Path, folder: Path, config: MediaConfig) -> MediaInfo:
    """Return the properties of a file, which are kept in a folder under the file's content.

    Raises:
        MediaError: the file cannot be read.
    """
    kept = folder / f"{file_sha256(path)[:32]}.info"
    if not kept.exists():
        words = json.dumps(asdict(probe(path, config)))
        write_by(kept, lambda part: Path(part).write_text(words, encoding="utf-8"))
    return MediaInfo(**json.loads(kept.read_text(encoding="utf-8")))


def judged_file(
    info: MediaInfo, extract: Extract, session: DetectorSession, reduce: Reduce | None
) -> JudgedFile:
    """Return what the session's detector says of a file, by the walk of `session.detect`.

    Of several sounds the first is judged, since streams are kept of that one.

    Args:
        info: the file's properties.
        extract: its streams.
        session: with the weights that are adapted.
        reduce: maps the standardised features of a rule, of each step; None: they are not computed.
    """
    detector, kept = session.detector, dict[tuple[object, ...], list[tuple[int, Tensor]]]()

    def observe(
        block: Streams, windows: Windows, tokens: dict[str, Tensor], timeline: Timeline
    ) -> None:
        if reduce is None or block.scene:
            return
        for modality in COLUMNS:
            found = rule_of(detector, modality)
            if found is None or not detector.opinions[found[0]].applies(windows.streams):
                continue
            row, rule = found
            reads = (windows.streams[name] for name in detector.opinions[row].reads)
            features = rule.describe(*(x.to(session.device) for x in reads), windows.mask)
            features = stitch_windows((features - rule.mean) / rule.spread, windows)
            place = (timeline.track, timeline.sound)
            kept.setdefault(place, []).append((timeline.start, reduce(modality, features).cpu()))

    with torch.inference_mode():
        pieces = [
            t
            for block in extract.blocks
            for t in judge_blocks(
                [block], detector, session.config.windows, session.precision, observe=observe
            )
        ]
    points = {place: (sorted(found, key=lambda piece: piece[0])) for place, found in kept.items()}
    return _judged(join_timelines(pieces), points, detector, session.config.judge, info)


def _judged(
    timelines: list[Timeline],
    points: dict[tuple[object, ...], list[tuple[int, Tensor]]],
    detector: Detector,
    config: JudgeConfig,
    info: MediaInfo,
) -> JudgedFile:
    """Return the tracks of a file that `decide` judges."""
    notes = Notes()
    timelines = of_own_length(timelines, info)
    sounds = judged_sounds(timelines, config.min_steps, config.visible, info, notes)
    pictures = judged_pictures(timelines, detector, config, notes)
    faded = weighted_by_bits(pictures, info, detector, config, notes)
    seen_ones = looked_at(faded, detector, notes)
    bits, tracks = bits_a_pixel(info), []
    for picture in seen_ones:
        share = 1.0
        if picture.face_size is not None:
            share = believed(bits, picture.face_size, config.detail)
        every = torch.ones(len(picture.opinions), dtype=torch.bool)
        seen = visible_share(picture, config.visible)
        tracks.append(_track("visual", picture, every, share, seen, points, detector))
    for sound in sounds:
        heard = heard_steps(sound, config.visible)
        tracks.append(_track("audio", sound, heard, 1.0, 1.0, points, detector))
    known = max((known_share(t, info, config) for t in seen_ones), default=0.0)
    return JudgedFile(tracks, known if pictures else 1.0)


def _track(
    modality: str,
    timeline: Timeline,
    mask: Tensor,
    share: float,
    seen: float,
    points: dict[tuple[object, ...], list[tuple[int, Tensor]]],
    detector: Detector,
) -> JudgedTrack:
    """Return a timeline as a judged track, over the steps of a mask (T,)."""
    column = MODALITIES.index(modality)
    rows = [i for i, o in enumerate(detector.opinions) if o.localizes and o.modality == modality]
    silenced = timeline.opinions.clone()
    silenced[:, rows] = ABSENT
    summed = clip_logit(replace(timeline, opinions=silenced), column, detector, mask)
    alone = ABSENT
    if rows:
        stretch = clip_peaks(timeline.opinions[None], mask[None], detector.config.localized_steps)[
            0, rows
        ]
        scale, shift = detector.clip_weights[rows].cpu().T
        alone = float(any_logit(stretch * scale + shift))
    found, point, gain = rule_of(detector, modality), None, 0.0
    if found is not None:
        row = detector.opinions[found[0]]
        gain = float(detector.clip_weights[found[0], 0]) * (share if row.fades else 1.0)
        point = _mean(points.get((timeline.track, timeline.sound), []), timeline, mask)
    return JudgedTrack(COLUMNS.index(modality), summed, alone, gain, seen, point)


def _mean(pieces: Sequence[tuple[int, Tensor]], timeline: Timeline, mask: Tensor) -> Tensor | None:
    """Return the mean (K,) of pieces (T, K), each with its first step, over a timeline's mask."""
    if not pieces:
        return None
    steps = torch.cat([torch.arange(start, start + len(x)) for start, x in pieces])
    place = steps - timeline.start
    inside = (place >= 0) & (place < len(mask))
    chosen = torch.zeros(len(place), dtype=torch.bool)
    chosen[inside] = mask[place[inside]]
    if not chosen.any():
        return None
    return torch.cat([x for _, x in pieces])[chosen].mean(dim=0)
