"""Data sets of speech: what the makers' protocols say, on miniatures in their exact layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.data.catalogue import records_of
from pipelines.data.manifest import WHOLE, Record


def text(root: Path, name: str, content: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def found(name: str, root: Path) -> dict[str, Record]:
    return {record.path: record for record in records_of(name, root)}


def test_the_training_protocol_of_asvspoof2019_ends_in_trn(tmp_path: Path) -> None:
    folder = "LA/ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm."
    text(tmp_path, f"{folder}train.trn.txt", "LA_0079 LA_T_1 - - bonafide\n")
    text(
        tmp_path,
        f"{folder}eval.trl.txt",
        "LA_0039 LA_E_2 - A11 spoof\nLA_1 LA_E_3 - A11 bonafide\n",
    )
    real, fake, odd = found("asvspoof2019", tmp_path).values()
    assert real.path == "LA/ASVspoof2019_LA_train/flac/LA_T_1.flac"
    assert (real.fake, real.audio, real.visual, real.split) == (False, (), None, "train")
    assert (fake.method, fake.audio, fake.split, fake.persons) == (
        "A11",
        WHOLE,
        "test",
        ("LA_0039",),
    )
    assert odd.doubt == "system and key disagree"
    text(tmp_path, f"{folder}eval.trl.txt", "LA_0039 LA_E_2 - A11\n")
    with pytest.raises(ValueError, match="line 1: expected 5 words, got 4"):
        found("asvspoof2019", tmp_path)


def test_keys_of_asvspoof2021_have_codec_and_subset(tmp_path: Path) -> None:
    line = "LA_0009 LA_E_9332881 alaw ita_tx A07 spoof notrim eval\n"
    text(tmp_path, "keys/LA/CM/trial_metadata.txt", line)
    line = "LA_0023 DF_E_2000011 nocodec asvspoof A14 spoof notrim progress traditional_vocoder"
    text(tmp_path, "keys/DF/CM/trial_metadata.txt", f"{line} - - - -\n")
    first, second = found("asvspoof2021", tmp_path).values()
    assert first.path == "ASVspoof2021_LA_eval/flac/LA_E_9332881.flac"
    assert (first.groups, first.method, first.split) == ({"quality": "alaw"}, "A07", "test")
    assert (second.path, second.split) == ("ASVspoof2021_DF_eval/flac/DF_E_2000011.flac", "val")


def test_in_the_wild_writes_bona_fide_with_a_hyphen(tmp_path: Path) -> None:
    table = "release_in_the_wild/meta.csv"
    text(tmp_path, table, "file,speaker,label\n0.wav,Alec Guinness,spoof\n1.wav,X,bona-fide\n")
    fake, real = found("in-the-wild", tmp_path).values()
    assert (fake.path, fake.fake, fake.persons) == (
        "release_in_the_wild/0.wav", True, ("Alec Guinness",),
    )  # fmt: skip
    assert (real.fake, real.audio) == (False, ())
    text(tmp_path, table, "file,speaker,label\n0.wav,A,bona fide\n")
    with pytest.raises(ValueError, match=r"0\.wav: unknown word 'bona fide'"):
        found("in-the-wild", tmp_path)


def test_spoofed_seconds_of_partialspoof_come_from_its_turns(tmp_path: Path) -> None:
    protocol = "database/protocols/PartialSpoof_LA_cm_protocols/PartialSpoof.LA.cm."
    text(
        tmp_path, f"{protocol}dev.trl.txt",
        "LA_1 CON_D_1 - CON spoof\nLA_2 CON_D_2 - - bonafide\nLA_3 CON_D_3 - CON spoof\n",
    )  # fmt: skip
    text(
        tmp_path, "database/dev/con_data/rttm_2cls_0sil",
        "SPEAKER CON_D_1 1 0.0 0.5 <NA> <NA> bonafide <NA> <NA>\n"
        "SPEAKER CON_D_1 1 0.5 0.25 <NA> <NA> spoof <NA> <NA>\n"
        "SPEAKER CON_D_1 1 1.5 0.5 <NA> <NA> spoof <NA> <NA>\n"
        "SPEAKER CON_D_2 1 0.0 2.0 <NA> <NA> bonafide <NA> <NA>\n",
    )  # fmt: skip
    fake, real, odd = found("partialspoof", tmp_path).values()
    assert fake.path == "database/dev/con_wav/CON_D_1.wav"
    assert fake.audio == ((0.5, 0.75), (1.5, 2.0))
    assert (fake.split, fake.method, fake.doubt) == ("val", "CON", "")
    assert (real.audio, real.doubt) == ((), "")
    assert odd.doubt == "RTTM and key disagree"


def test_without_turns_the_spoofed_seconds_of_partialspoof_are_unknown(tmp_path: Path) -> None:
    text(tmp_path, "protocols/PartialSpoof.LA.cm.train.trl.txt", "s CON_T_1 - - spoof\n")
    (record,) = found("partialspoof", tmp_path).values()
    assert (record.fake, record.audio, record.method, record.doubt) == (True, None, "splice", "")
