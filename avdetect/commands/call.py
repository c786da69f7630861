"""`avdetect call`: challenge a caller, hear the answers, and tell the listener what they say."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from avdetect.commands.options import OK, add_model_options, count, load_session

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.challenge.call import Call

HELP = "challenge a caller, and judge the recorded answers"
DESCRIPTION = (
    "A caller is asked to whisper, hum, clap, speak higher, deeper, faster or slower, or to cover "
    "the mouth; recorded answers are checked and judged, and their evidence is added up until it "
    "suffices. The decision is the listener's. docs/call.md tells what it is worth; `avdetect "
    "serve` has the same on a page that records by the microphone."
)


def add_arguments(verb: ArgumentParser) -> None:
    """Add the verb's own commands: ask, answer, show, decide, learn and simulate."""
    own = verb.add_subparsers(title="commands", dest="call_verb", metavar="COMMAND", required=True)
    asked = own.add_parser("ask", help="put the next challenge; begins a call where there is none")
    _add_call(asked)
    _add_config(asked)
    answered = own.add_parser("answer", help="judge the recorded answer to a challenge")
    _add_call(answered)
    answered.add_argument("nonce", metavar="NONCE", help="that `ask` printed")
    answered.add_argument("recording", type=Path, metavar="RECORDING", help="any sound file")
    add_model_options(answered)
    _add_call(own.add_parser("show", help="what the answers say so far"))
    decided = own.add_parser("decide", help="note what the listener decided")
    _add_call(decided)
    decided.add_argument("human", choices=("genuine", "forged"))
    learned = own.add_parser("learn", help="learn the rates of challenges by calls of known truth")
    for kind in ("genuine", "forged"):
        learned.add_argument(
            f"--{kind}", type=Path, nargs="+", required=True, metavar="CALL.json", help="such calls"
        )
    learned.add_argument(
        "--out", type=Path, required=True, metavar="CONFIG.yaml", help="for --config"
    )
    _add_config(learned)
    simulated = own.add_parser("simulate", help="what test and listener achieve together")
    simulated.add_argument("--calls", type=count, default=100_000, metavar="N")
    for name, value, words in (
        ("human", 0.726, "share of calls in which a listener is right alone"),
        ("trust", 0.788, "share of other tags that a listener follows"),
    ):
        simulated.add_argument(
            f"--{name}", type=_share, default=value, metavar="P", help=f"{words} (default {value})"
        )
    _add_config(simulated)


def _add_call(verb: ArgumentParser) -> None:
    verb.add_argument("call", type=Path, metavar="CALL.json", help="the file of the call")


def _add_config(verb: ArgumentParser) -> None:
    verb.add_argument(
        "--config", type=Path, metavar="CONFIG.yaml", help="errors and rates, see docs/call.md"
    )


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise ValueError(text)
    return share


def run(options: Namespace) -> int:
    """Do the part of a call that is named."""
    from rich.console import Console

    verbs: dict[str, Callable[[Namespace, Console], None]] = {
        "ask": _ask, "answer": _answer, "show": _show, "decide": _decide, "learn": _learn,
        "simulate": _simulate,
    }  # fmt: skip
    verbs[options.call_verb](options, Console(highlight=False, soft_wrap=True, markup=False))
    return OK


def _ask(options: Namespace, console: Console) -> None:
    from pipelines.challenge.call import Call, read_call, write_call
    from pipelines.challenge.sequential import TrialConfig
    from pipelines.config import load_config

    if options.call.exists():
        call = read_call(options.call)
    else:
        call = Call(load_config(TrialConfig, options.config))
    call, asked = call.ask(time.time())
    write_call(options.call, call)
    console.print(f"{asked.words}\nnonce {asked.nonce}, for {call.config.seconds:g} s")


def _answer(options: Namespace, console: Console) -> None:
    from avdetect.terminal.output import quiet_libraries
    from pipelines.challenge.call import read_call, write_call
    from pipelines.challenge.recordings import hear_answer

    now = time.time()  # before the detector is loaded
    call = read_call(options.call)
    call.open_challenge(options.nonce, "", now)  # a wrong nonce need not wait for the detector

    def hear(recording: Path) -> float | None:
        return load_session(options).detect(recording).audio_score

    with quiet_libraries():
        call = hear_answer(call, options.nonce, options.recording, hear, now)
    write_call(options.call, call)
    _print_call(call, console)


def _show(options: Namespace, console: Console) -> None:
    from pipelines.challenge.call import read_call

    _print_call(read_call(options.call), console)


def _decide(options: Namespace, console: Console) -> None:
    from dataclasses import replace

    from pipelines.challenge.call import read_call, write_call

    call = replace(read_call(options.call), human=options.human)
    write_call(options.call, call)
    _print_call(call, console)


def _learn(options: Namespace, console: Console) -> None:
    from dataclasses import replace

    import yaml

    from pipelines.challenge.call import rates_from, read_call
    from pipelines.challenge.sequential import TrialConfig
    from pipelines.config import load_config, to_dict
    from pipelines.storage.files import write_whole

    genuine, forged = (list(map(read_call, some)) for some in (options.genuine, options.forged))
    rates = rates_from(genuine, forged)
    config = replace(load_config(TrialConfig, options.config), rates=rates)
    write_whole(options.out, yaml.safe_dump(to_dict(config), sort_keys=False).encode())
    console.print(f"rates of {len(rates)} challenges: {options.out}")


def _simulate(options: Namespace, console: Console) -> None:
    from dataclasses import asdict

    from rich.table import Table

    from pipelines.challenge.sequential import TrialConfig
    from pipelines.challenge.triage import simulate_triage
    from pipelines.config import load_config

    config = load_config(TrialConfig, options.config)
    table = Table("of simulated calls", "value")
    for name, value in asdict(
        simulate_triage(config, options.human, options.trust, options.calls)
    ).items():
        table.add_row(name, f"{value:.3f}")
    console.print(table)


def _print_call(call: Call, console: Console) -> None:
    """Print what each answer adds, and what the sum says."""
    from rich.table import Table

    done = {True: "yes", False: "no", None: ""}
    table = Table("challenge", "done", "detector's score", "evidence")
    for name, answer in call.answers:
        score = "not judged" if answer.score is None else f"{answer.score:.2f}"
        table.add_row(name, done[answer.complied], score, f"{answer.increment:+.2f}")
    low, high = call.config.bounds
    console.print(table)
    console.print(
        f"sum {call.evidence:+.2f}: {call.standing} (genuine from {low:.2f} down, forged from "
        f"{high:.2f} up); {'likely forged' if call.tagged else 'not tagged'}"
    )
    if call.human is not None:
        against = ", against the tag" if call.disagreed else ""
        console.print(f"the listener decided: {call.human}{against}")
