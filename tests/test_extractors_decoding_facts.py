"""What a file says of itself, against files that were written to say it."""

from __future__ import annotations

import datetime
from pathlib import Path

import av
import c2pa
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from extractors.decoding.facts import MAX_TEXT
from extractors.media import MediaError, probe, read_facts, write_clip

SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
MANIFEST = {
    "claim_generator_info": [{"name": "Example Camera", "version": "1"}],
    "format": "video/mp4",
    "assertions": [
        {
            "label": "c2pa.actions",
            "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": SOURCE}]},
        }
    ],
}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "a.mp4"
    frames = np.random.default_rng(0).integers(0, 255, (25, 48, 64, 3), dtype=np.uint8)
    write_clip(path, frames, np.zeros(16_000, np.float32), options={"g": "10", "sc_threshold": "0"})
    return path


def test_container_tracks_encoder_and_key_frames(clip: Path) -> None:
    facts = read_facts(clip)
    assert facts["container"] == "QuickTime / MOV"
    assert [track["kind"] for track in facts["tracks"]] == ["video", "audio"]
    assert facts["tracks"][0]["pixels"] == "yuv420p"
    assert facts["encoder"].startswith("x264 - core ")
    assert "keyint=10" in facts["encoder"]
    gaps = {"longest_gap": 10, "shortest_gap": 10}
    assert facts["key_frames"] == {"frames": 25, "count": 3, **gaps}
    assert facts["credentials"] == {"state": "none"}


def test_tags_come_as_they_are_but_no_longer_than_a_line(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "tagged.mkv"
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        target.metadata["title"] = "<script>alert(1)</script>"
        target.metadata["comment"] = "x" * 5000
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    tags = {key.lower(): value for key, value in read_facts(path)["tags"].items()}
    assert tags["title"] == "<script>alert(1)</script>"
    assert len(tags["comment"]) == MAX_TEXT
    assert read_facts(path)["credentials"]["state"].startswith("not looked for")


def test_sound_alone_has_no_encoder_of_a_picture(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.wav", None, np.zeros(16_000, np.float32))
    facts = read_facts(tmp_path / "a.wav")
    assert (facts["encoder"], facts["key_frames"]) == (None, None)
    assert facts["credentials"] == {"state": "none"}


@pytest.mark.parametrize("content", [b"", b"not a video at all" * 100])
def test_a_file_that_is_no_media_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(content)
    with pytest.raises(MediaError, match=r"bad\.mp4") as caught:
        read_facts(tmp_path / "bad.mp4")
    assert "\n" not in str(caught.value)


def test_content_credentials_say_who_signed_what_and_break_with_the_file(
    clip: Path, tmp_path: Path
) -> None:
    signed = tmp_path / "signed.mp4"
    with clip.open("rb") as source, signed.open("w+b") as target:
        c2pa.Builder(MANIFEST).sign(signer(), "video/mp4", source, target)
    assert read_facts(signed)["credentials"] == {
        "state": "Valid",  # but not Trusted: nobody knows this signer
        "generator": "Example Camera",
        "issuer": "Test Signer",
        "signed": "",
        "actions": ["c2pa.created (trainedAlgorithmicMedia)"],
        "generated": True,
    }
    assert probe(signed).credentials == read_facts(signed)["credentials"]
    assert probe(clip).credentials is None
    content = bytearray(signed.read_bytes())
    content[content.rindex(b"mdat") + 2000] ^= 1
    signed.write_bytes(content)
    assert probe(signed).credentials["state"] == "Invalid"  # type: ignore[index]


@pytest.mark.parametrize(
    ("kind", "mime", "codec"), [("wav", "audio/wav", None), ("mp3", "audio/mpeg", "mp3")]
)
def test_credentials_of_sound_files_are_found(
    kind: str, mime: str, codec: str | None, tmp_path: Path
) -> None:
    plain, signed = tmp_path / f"a.{kind}", tmp_path / f"b.{kind}"
    sound = np.sin(np.arange(16_000) / 10).astype(np.float32)
    if codec is None:
        write_clip(plain, None, sound)
    else:
        with av.open(str(plain), "w") as target:
            stream = target.add_stream(codec, rate=16_000)
            frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
            frame.rate = 16_000
            for packet in (*stream.encode(frame), *stream.encode(None)):
                target.mux(packet)
    with plain.open("rb") as source, signed.open("w+b") as target:
        c2pa.Builder(MANIFEST | {"format": mime}).sign(signer(), mime, source, target)
    assert probe(plain).credentials is None
    assert probe(signed).credentials["state"] == "Valid"  # type: ignore[index]


def signer() -> c2pa.Signer:
    """A signer whose certificate an authority of a test signed, as the standard demands."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = certificate("Test Authority", authority_key, None, authority_key)
    leaf = certificate("Test Signer", key, authority, authority_key)
    chain = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in (leaf, authority))
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", chain, private, None))


def certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    """A certificate of a month; an authority's own where there is no issuer."""
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)])
    now, own = datetime.datetime.now(datetime.UTC), issuer is None
    usage = x509.KeyUsage(not own, False, False, False, False, own, own, False, False)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=own, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(identifier, critical=False)
    )
    if not own:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
