"""Results in the words that people read, on a terminal and on a page."""

from __future__ import annotations

from pipelines.detection.result import Result
from temporal.segment import Modality

MODALITIES: dict[Modality, str] = {
    "visual": "picture",
    "audio": "sound",
    "sync": "lips and sound together",
}

STREAMS = {  # of `extractors.streams.Streams`
    "portrait": "the look of the face, seen by a picture encoder",
    "appearance": "the face close up",
    "landmarks": "the outline of the face",
    "mouth": "the mouth",
    "flow": "movement of the face",
    "depth": "the shape of the face in depth",
    "mel": "the sound",
}
EVIDENCE = {  # of `pipelines.evidence.ablation`
    **{name: STREAMS[name] for name in ("portrait", "appearance", "flow", "depth")},
    "lips": STREAMS["mouth"],
    "sound": STREAMS["mel"],
}


def why_not(modality: Modality, result: Result) -> str:
    """Return why a modality has no score, as far as the result tells: older ones do not."""
    known = result.get("not_judged")
    return (known[modality] if known else None) or "the result does not say why"


def crowd_words(result: Result) -> str | None:
    """Return how many of the faces in the picture were judged; None: all, or it is not known."""
    crowd = result.get("crowd")
    if not crowd or crowd["seen"] <= crowd["judged"]:
        return None
    return f"at {clock(crowd['time'])}, {crowd['judged']} of {crowd['seen']} faces were judged"


def clock(seconds: float) -> str:
    """Return a time as m:ss.ss, from an hour on as h:mm:ss.ss.

    >>> clock(59.996), clock(3725.5)
    ('1:00.00', '1:02:05.50')
    """
    minutes, hundredths = divmod(round(100 * seconds), 6000)
    hours, minutes = divmod(minutes, 60)
    tail = f"{hundredths // 100:02d}.{hundredths % 100:02d}"
    return f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}"
