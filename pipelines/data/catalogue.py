"""The table of data sets that avdetect can read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from extractors.errors import InputError
from pipelines.data.layouts import audio_visual as av
from pipelines.data.layouts import faces as faces
from pipelines.data.layouts import scenes as scenes
from pipelines.data.layouts import speech as sound
from pipelines.data.layouts.deepfakebench import deepfakebench
from pipelines.data.layouts.df40 import df40
from pipelines.data.manifest import Record

TERMS = "its makers' terms, on request"


@dataclass(frozen=True)
class DataSet:
    """A data set that avdetect has a reader for."""

    title: str
    read: Callable[[Path], Iterator[Record]]
    tracks: str  # the tracks that it has labels for
    licence: str
    note: str = ""


DATASETS = {
    "faceforensics": DataSet("FaceForensics++", faces.faceforensics, "picture", TERMS,
                             "360/70/70 pairs; no sound shipped"),
    "dfd": DataSet("DeepFakeDetection", faces.deepfakedetection, "picture", TERMS,
                   "no official split"),
    "celeb-df": DataSet("Celeb-DF v2", faces.celeb_df, "picture", TERMS,
                        "its list has 1 for real"),
    "dfdc": DataSet("DFDC and its preview", faces.dfdc, "any track", TERMS,
                    "forged sound is not labelled apart; an original stands for its person"),
    "fakeavceleb": DataSet("FakeAVCeleb v1.2", av.fakeavceleb, "picture, sound", TERMS,
                           "no official split; forged sound begins with silence"),
    "lav-df": DataSet("LAV-DF", av.lavdf, "picture, sound, segments", "CC BY-NC 4.0"),
    "av-deepfake1m": DataSet("AV-Deepfake1M and ++", av.av_deepfake1m, "picture, sound, segments",
                             TERMS, "++: persons of train and val overlap; no truth of test"),
    "forgerynet": DataSet("ForgeryNet, videos", scenes.forgerynet, "picture, segments", TERMS,
                          "frames become seconds by the rate of each file, which must be there"),
    "df40": DataSet("DF40", df40, "picture, as frames", TERMS,
                    "folders of frames, of which `datasets clips` makes clips"),
    "deepfakebench": DataSet("DeepfakeBench's lists", deepfakebench, "picture, as frames", TERMS,
                             "of nine data sets; `datasets clips` makes clips of their frames"),
    "deepfaketimit": DataSet("DeepfakeTIMIT", faces.deepfake_timit, "picture", TERMS,
                             "fakes only; the genuine clips are VidTIMIT's"),
    "kodf": DataSet("KoDF", av.kodf, "picture", TERMS, "split it by person; fsgan has no sound"),
    "genvideo": DataSet("GenVideo", scenes.genvideo, "picture", TERMS,
                        "fakes have 8 frames a second, genuine clips 25 to 30: audit"),
    "genvidbench": DataSet("GenVidBench", scenes.genvidbench, "picture", TERMS,
                           "label 1 is taken for fake; a genuine source under it is a doubt"),
    "deepfake-eval-2024": DataSet("Deepfake-Eval-2024", av.deepfake_eval, "picture, sound",
                                  "CC BY-SA 4.0", "unknown labels are left out; images too"),
    "casual-conversations": DataSet("Casual Conversations v1", scenes.casual_conversations,
                                    "genuine only", TERMS, "for false alarms by group"),
    "asvspoof2019": DataSet("ASVspoof 2019 LA", sound.asvspoof2019, "sound", "ODC-By 1.0"),
    "asvspoof2021": DataSet("ASVspoof 2021 LA and DF", sound.asvspoof2021, "sound", "ODC-By 1.0"),
    "in-the-wild": DataSet("In-the-Wild", sound.in_the_wild, "sound", TERMS, "no split"),
    "partialspoof": DataSet("PartialSpoof", sound.partialspoof, "sound, segments", "CC BY 4.0",
                            "seconds by its RTTM files; its pickles are not read"),
}  # fmt: skip


def records_of(name: str, root: Path) -> Iterator[Record]:
    """Yield the records of a data set in a folder, each with the set's name and licence.

    Raises:
        InputError: the name is unknown, or the folder has another layout.
    """
    if name not in DATASETS:
        raise InputError(f"unknown data set {name!r}; known: {', '.join(DATASETS)}")
    dataset = DATASETS[name]
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    try:
        for record in dataset.read(root):
            yield replace(record, source=name, licence=dataset.licence)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{root}: not as {dataset.title} is laid out: {error!r}") from error
