"""`avdetect pretrain`: let a picture encoder learn from clips without labels."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from avdetect.commands.options import OK, add_set

HELP = "let a picture encoder learn from unlabelled clips"
DESCRIPTION = (
    "Trains a picture encoder by a self-supervised objective (fsfm, video-mae, selfie, m3i) on the "
    "clips that a YAML recipe names, and writes it to a file that `streams.encoder` and the "
    "`encoder` of a training recipe take. A run that broke off goes on from its last checkpoint."
)


def add_arguments(verb: ArgumentParser) -> None:
    """Add the verb's options."""
    verb.add_argument(
        "config",
        type=Path,
        metavar="CONFIG.yaml",
        help="objective, encoder and corpus, such as configs/pretrain.yaml",
    )
    add_set(verb, "objective=selfie")


def run(options: Namespace) -> int:
    """Pre-train, and print the loss on clips held out and where the encoder is."""
    import logging

    from avdetect.terminal.tables import printable
    from pipelines.pretrain.run import pretrain

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    done = pretrain(options.config, options.set)
    print(
        f"loss on clips held out: {done.loss:.4f}, before {done.before:.4f}, "
        f"by chance {done.chance:.4f}"
    )
    print(f"the encoder is in {printable(str(done.encoder))}")
    return OK
