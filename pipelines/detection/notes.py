"""What is said of a judgement besides its scores: warnings, and why a modality has no score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from extractors.media import MediaInfo
from pipelines.detection.result import NotJudged
from temporal.segment import MODALITIES, Modality

# Sentences of `extractors.decoding.remarks` that tell more than a missing track does.
UNREADABLE = {"picture": "the picture cannot be decoded", "sound": "the sound cannot be decoded"}
COVER = "the cover picture was not judged"


@dataclass(frozen=True)
class Notes:
    """Sentences that are gathered while a file is judged."""

    warnings: list[str] = field(default_factory=list)
    missing: dict[Modality, str] = field(default_factory=dict)

    def warn(self, *sentences: str) -> None:
        """Add warnings, each of them once."""
        self.warnings.extend(s for s in dict.fromkeys(sentences) if s not in self.warnings)

    def lacks(self, modality: Modality, why: str) -> None:
        """Say why a modality has no score, unless that is known."""
        self.missing.setdefault(modality, why)

    def without_tracks(self, info: MediaInfo, read: Sequence[str]) -> None:
        """Say which modalities lack their track.

        read: the warnings of whatever read the file.
        """
        if not info.has_video:
            cover = "no picture in the file but a cover"
            why = cover if COVER in read else _no_track("picture", read)
            self.lacks("visual", why)
            self.lacks("sync", why)
        if not info.has_audio:
            self.lacks("audio", _no_track("sound", read))
            self.lacks("sync", _no_track("sound", read))

    def reasons(self, scores: dict[str, float | None]) -> NotJudged:
        """Return why each modality has no score, None for those that have one."""
        why = {m: self.missing.get(m, "too little to judge") for m in MODALITIES}
        given = {m: None if scores[f"{m}_score"] is not None else why[m] for m in MODALITIES}
        return {"visual": given["visual"], "audio": given["audio"], "sync": given["sync"]}


def _no_track(kind: str, read: Sequence[str]) -> str:
    return UNREADABLE[kind] if UNREADABLE[kind] in read else f"no {kind} in the file"
