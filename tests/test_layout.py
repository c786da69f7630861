"""Every module has a test file of its name, or stands below with what tries it and why there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("avdetect", "extractors", "fusion", "temporal", "pipelines")
# Modules without a test file of their name: the test file that tries them -> which, and why there.
TRIED_BY: dict[str, tuple[str, tuple[str, ...]]] = {
    "avdetect_server_app": (
        "seen through the requests that the application answers",
        ("avdetect/server/guard", "avdetect/server/history", "avdetect/server/pages",
         "avdetect/server/queue", "avdetect/server/schema"),
    ),
    "avdetect_cli": ("seen on the streams of the command", ("avdetect/terminal/output",)),
    "extractors_media": (
        "parts of one reader, of whatever file it is given",
        tuple(f"extractors/{name}" for name in (
            "decoding/child", "decoding/chunks", "decoding/picture",
            "decoding/process", "decoding/sound",
            "encoding", "errors")),
    ),
    "extractors_decoding_facts": (
        "what a file says of itself", ("extractors/decoding/credentials",)
    ),
    "extractors_decoding_tracks": (
        "seen in what files of several tracks give",
        ("extractors/decoding/pixels", "extractors/decoding/remarks",
         "extractors/decoding/track_scan"),
    ),
    "extractors_covered_mouth": (
        "what draws the covers that it notices, and what fits it on them",
        ("pipelines/forge/picture/covers", "pipelines/train/fit_covered_mouth"),
    ),
    "extractors_encoder_file": (
        "one file, opened and read", ("extractors/encoder_store",)
    ),
    "extractors_encoder_conversion": (
        "the names by which it converts", ("extractors/encoder_forms",)
    ),
    "extractors_speech_encoder": (
        "an encoder, and its tokens on the clock",
        ("extractors/encoded_windows", "extractors/speech_features"),
    ),
    "extractors_plugins": (
        "what packages add", ("extractors/added_streams", "temporal/added_experts")
    ),
    "extractors_faces": ("cut out where the tracked face lies", ("extractors/crops",)),
    "extractors_stream_extractor": (
        "steps of one extraction",
        ("extractors/face_streams", "extractors/lips", "extractors/sound_streams",
         "extractors/stream_source"),
    ),
    "pipelines_data_checks": (
        "made, checked, split and read again in one go",
        ("pipelines/data/catalogue", "pipelines/data/manifest", "pipelines/data/splits"),
    ),
    "pipelines_data_layouts_faces": (
        "layouts of the same kind, tried together", ("pipelines/data/layouts/df40",)
    ),
    "pipelines_data_samples": (
        "streams that are kept are those of samples",
        ("pipelines/train/fill_cache",),
    ),
    "pipelines_streams_stream_cache": (
        "one walk, with the cache and without",
        ("pipelines/detection/file_walks", "pipelines/streams/cache_entry",
         "pipelines/streams/walk"),
    ),
    "pipelines_public_sets_run": (
        "a data set from its folder to its table",
        tuple(f"pipelines/public_sets/{name}" for name in ("frame_clips", "prepare", "recipe")),
    ),
    "pipelines_features_extract": (
        "files of clips, as the extraction of a corpus writes them",
        ("pipelines/features/clip_file", "pipelines/features/feature_job"),
    ),
    "pipelines_results_segment_files": (
        "the truth beside the segments that it is compared with", ("pipelines/data/segment_truth",)
    ),
    "pipelines_scan_ray_judges": (
        "blocks judged together and alone", ("pipelines/detection/timelines",)
    ),
    "pipelines_detection_session": (
        "what a session is loaded with", ("extractors/precision", "pipelines/detection/starter")
    ),
    "pipelines_detection_decide": (
        "parts of a decision",
        tuple(f"pipelines/detection/{name}" for name in (
            "credentials", "curves", "judge_config", "pictures", "speaker")),
    ),
    "pipelines_detection_detector": (
        "the settings of a detector", ("pipelines/detection/detector_config",)
    ),
    "pipelines_detection_verdict": (
        "what a verdict is as plain values", ("pipelines/detection/result",)
    ),
    "pipelines_evaluation_evaluate": (
        "what the report of an evaluation is made of",
        ("pipelines/evaluation/plots", "pipelines/evaluation/segments"),
    ),
    "pipelines_evaluation_tables": (
        "parts of the tables",
        ("pipelines/evaluation/markdown", "pipelines/evaluation/stress_tables"),
    ),
    "pipelines_evidence_recorder": (
        "parts of the evidence of one verdict",
        tuple(f"pipelines/{name}" for name in (
            "detection/witness", "evidence/ablation", "evidence/moments", "evidence/preview")),
    ),
    "pipelines_forge_directory": (
        "steps from a source to forged files",
        tuple(f"pipelines/forge/{name}" for name in (
            "clip", "dub", "files", "methods", "scene", "segments", "sources")),
    ),
    "pipelines_probes_under_changes": (
        "changes of the picture, and what is told of them",
        tuple(f"pipelines/probes/{name}" for name in (
            "great", "limits", "picture_loss", "relight", "removal", "tables")),
    ),
    "pipelines_probes_run": (
        "what every probe asks, and of whom",
        tuple(f"pipelines/probes/{name}" for name in ("backdoor", "crops", "panel")),
    ),
    "pipelines_forge_picture_face": (
        "forgeries of one drawn face",
        tuple(f"pipelines/forge/picture/{name}" for name in (
            "blend", "generator_look", "geometry", "mouth", "timing", "warp")),
    ),
    "pipelines_train_batches": (
        "what is done to clips before they teach",
        ("pipelines/train/augment", "pipelines/train/clips", "pipelines/forge/picture/blur"),
    ),
    "pipelines_forge_sound_segments": (
        "forgeries of one voice",
        tuple(f"pipelines/forge/sound/{name}" for name in (
            "text_to_speech", "vocoders", "world")),
    ),
    "pipelines_challenge_voice_measures": (
        "what is asked for is told from what is measured", ("pipelines/challenge/compliance",)
    ),
    "pipelines_challenge_sequential": (
        "simulated streams keep the bounds", ("pipelines/challenge/triage",)
    ),
    "pipelines_metrics_segments": (
        "matching shows in the metrics, which have independent truths",
        ("pipelines/metrics/segment_matching",),
    ),
    "pipelines_mutual_scan": ("works for the scan alone", ("pipelines/mutual/worker",)),
    "pipelines_report_exports": (
        "one of the exports of a result", ("pipelines/report/annotated_video",)
    ),
    "pipelines_report_page": (
        "parts of the page", ("pipelines/report/lanes", "pipelines/report/pictures")
    ),
    "pipelines_results_result_set": (
        "rows of a set, and what they add up to",
        ("pipelines/scan/summary",),
    ),
    "pipelines_pretrain_run": (
        "from clips to an encoder",
        tuple(f"pipelines/pretrain/{name}" for name in ("batches", "recipe")),
    ),
    "pipelines_stress_perturb": (
        "all operators keep the same promises",
        tuple(f"pipelines/stress/operators/{name}" for name in ("coding", "picture", "sound")),
    ),
    "pipelines_cues_drawn_clips": (
        "clips as drawn, and forged in one respect", ("pipelines/cues/drawn_forgeries",)
    ),
    "pipelines_zoo_parts": (
        "one part, trained, measured and put on the board",
        ("pipelines/train/experts", "pipelines/zoo/leaderboard", "pipelines/zoo/part_clips"),
    ),
    "pipelines_train_run": (
        "stages of one training",
        tuple(f"pipelines/train/{name}" for name in (
            "expert_probe", "fit", "fusion", "opinions", "stage", "sync")),
    ),
    "pipelines_train_options_qad": (
        "what options are made of",
        ("pipelines/train/changed_clip", "pipelines/train/options/method"),
    ),
    "pipelines_adapt_clip_tracks": (
        "the file that judges as its tracks foretell", ("pipelines/adapt/adapted_file",)
    ),
    "pipelines_adapt_adapt": ("what the command prints", ("avdetect/terminal/adaptation",)),
    "pipelines_train_team": ("the same training on workers", ("pipelines/train/ray_train",)),
    "pipelines_train_calibrate": (
        "tokens of clips are what is calibrated",
        ("pipelines/train/calibrated", "pipelines/train/token_clips"),
    ),
    "pipelines_train_splices": (
        "what brings resyntheses into time with what they replace",
        ("pipelines/forge/sound/alignment",),
    ),
    "pipelines_train_localizer": (
        "batches, loss and calibration are the same for both",
        ("pipelines/train/picture_localizer", "pipelines/train/sound_localizer"),
    ),
    "pipelines_evidence_forgery_map": (
        "a map from its training to the evidence",
        ("pipelines/zoo/map_board", "pipelines/zoo/map_truth", "pipelines/zoo/maps"),
    ),
    "pipelines_zoo_liveness": (
        "attacks are drawn, measured and learned in one go",
        ("fusion/heads/liveness", "pipelines/forge/picture/presentation",
         "pipelines/metrics/presentation", "temporal/zoo/presentation_cues"),
    ),
    "extractors_native": ("crops at the file's own size", ("pipelines/zoo/native_clips",)),
    "pipelines_zoo_anomaly": (
        "a map from its prototypes to its numbers", ("temporal/zoo/anomaly_map",)
    ),
    "temporal_opinions_portrait": ("the rule that it fits", ("temporal/opinions/paired",)),
    "temporal_opinions_whisper": (
        "the layers that it hears through", ("temporal/opinions/whisper_stem",)
    ),
}  # fmt: skip
# Tests of more than a module.
OF_THE_HOUSE = {
    "docs", "examples", "fuzz_media",
    "import_rule", "layout", "names", "wheel",
}  # fmt: skip


def modules() -> Iterator[str]:
    """Yield each module's path below the root, without its suffix.

    The verbs of the command are left out: `test_avdetect_*` tries them by what they print.
    """
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            verb = parts[0] == "avdetect" and (len(parts) == 2 or parts[1] == "commands")
            if path.name != "__init__.py" and not verb:  # an __init__ holds a docstring alone
                yield "/".join(parts)


def test_files() -> set[str]:
    """Return the names of the test files, without `test_` and suffix."""
    return {path.stem.removeprefix("test_") for path in (ROOT / "tests").glob("test_*.py")}


test_files.__test__ = False  # type: ignore[attr-defined]


def test_every_module_has_a_test_file_of_its_name_or_is_listed_with_what_tries_it() -> None:
    listed = [module for _, tried in TRIED_BY.values() for module in tried]
    assert len(listed) == len(set(listed))
    without = {module for module in modules() if module.replace("/", "_") not in test_files()}
    assert without - set(listed) == set(), "write tests/test_<package>_<wing>_<module>.py"
    assert set(listed) - without == set(), "these have tests of their own, or are gone"


@pytest.mark.parametrize("name", TRIED_BY)
def test_what_is_listed_lies_within_five_imports_of_the_file_that_tries_it(name: str) -> None:
    reached = set(imported(ROOT / "tests" / f"test_{name}.py"))
    for _ in range(4):
        reached |= {far for near in reached if (file := file_of(near)) for far in imported(file)}
    missing = {m for m in TRIED_BY[name][1] if m.replace("/", ".") not in reached}
    assert missing == set()


def test_every_test_file_bears_the_name_of_what_it_tries() -> None:
    """A file may try an aspect of a module or wing, and say which behind its name."""
    known = {module.replace("/", "_") for module in modules()}
    wings = {
        "_".join(path.parent.relative_to(ROOT).parts)
        for package in PACKAGES
        for path in (ROOT / package).rglob("__init__.py")
    } - set(PACKAGES)
    strangers = {
        name
        for name in test_files() - OF_THE_HOUSE
        if not name.startswith("avdetect_")
        and name not in known
        and not any(name.startswith(f"{place}_") for place in known | wings)
    }
    assert strangers == set()


def file_of(module: str) -> Path | None:
    """Return the file of a dotted module of the project, if there is one."""
    path = (ROOT / Path(*module.split("."))).with_suffix(".py")
    return path if path.exists() else None


@cache
def imported(path: Path) -> frozenset[str]:
    """Return the dotted names that a file imports, or has a program import."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant):  # the decoder is a program of its own
            names |= set(re.findall(r"from ([\w.]+) import", str(node.value)))
    return frozenset(names)
