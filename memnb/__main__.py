"""The book: its command line, ``python -m memnb run | build | check | serve | audit``."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memnb import parameters
from memnb.book.check import check
from memnb.book.execute import ChapterFailed, execute
from memnb.book.layout import Layout, NotebookBroken
from memnb.book.site import BuildFailed, build, serve
from memnb.checkout import NoCheckout
from memnb.processes import Terminated, terminable
from memnb.validation import check_integer

__all__ = ["AuditFailed", "main"]


class AuditFailed(RuntimeError):
    """An audit was given what it cannot take; the message is one line."""


def _pairs(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Take the ``-p name value`` out: argparse would read ``-1e-3`` as an option.

    One without a name or a value stays, for argparse to refuse it.
    """
    rest, pairs = list(arguments), {}
    for at in reversed([k for k, word in enumerate(rest) if word == "-p"]):
        name, value = [*rest[at + 1 : at + 3], "--", "--"][:2]
        if not name.startswith("-") and not value.startswith("--"):
            pairs = {name: value} | pairs
            del rest[at : at + 3]
    return rest, pairs


def _port(text: str) -> int:
    try:
        return check_integer("the port", int(text), 0, 65535)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m memnb", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="execute chapters with parameters of your own")
    run.add_argument("chapters", nargs="*", metavar="CHAPTER", help="name or number; all if none")
    run.add_argument(
        "-p",
        dest="parameters",
        nargs=2,
        action="append",  # only to be shown: _pairs() has taken them
        metavar=("name", "value"),
        help="a value for the parameters cell; may be repeated",
    )
    run.add_argument("--profile", default=None, help=f"one of {', '.join(parameters.PROFILES)}")
    run.add_argument(
        "--output",
        type=Path,
        default=None,
        metavar="DIR",
        help="where the executed notebooks go (default _build/runs)",
    )
    verbs.add_parser("build", help="execute what changed and build the site")
    verbs.add_parser("check", help="check the rules that every chapter keeps")
    server = verbs.add_parser("serve", help="serve the built site on loopback")
    server.add_argument(
        "--port", type=_port, default=8000, help="0 takes a free one (default 8000)"
    )
    _add_audit(verbs.add_parser("audit", help="ask whether a generator copies its training data"))
    return parser


def _add_audit(parser: argparse.ArgumentParser) -> None:
    for name, what in (
        ("training", "what the model was trained on"),
        ("generated", "what it generated"),
        ("held-out", "points of the same source that it was not trained on"),
    ):
        parser.add_argument(
            f"--{name}", required=True, metavar="FILE", help=f"{what}: a .npy or .npz file"
        )
    parser.add_argument(
        "--features", type=int, default=None, metavar="K", help="take K principal components first"
    )
    parser.add_argument("--threshold", type=float, default=1 / 3, help="on d1/d2 (default 1/3)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random (default 0)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:0 (default cpu)")
    parser.add_argument(
        "--report",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="write the result as .html or .json; may be repeated",
    )


def _audit(options: argparse.Namespace) -> None:
    from memnb.auditing.audit import audit, check_report

    try:
        reports = [check_report(path) for path in options.report]  # before any work
        report = audit(
            options.training,
            options.generated,
            options.held_out,
            features=options.features,
            threshold=options.threshold,
            seed=options.seed,
            device=options.device,
            progress=True,
        )
    except (TypeError, ValueError) as error:
        raise AuditFailed(f"audit: {error}") from None
    print(report)
    for path in reports:
        print(report.save(path))


def _values(layout: Layout, chapter: str, texts: dict[str, str]) -> dict[str, Any]:
    """A chapter's parameters from their texts, checked; or one line that says what is wrong."""
    try:
        if chapter in parameters.CHAPTERS:
            return parameters.read(chapter, texts)
        return layout.read(chapter, texts)
    except (TypeError, ValueError) as error:
        raise ChapterFailed(f"chapter {chapter}: {error}") from None


def _run(layout: Layout, options: argparse.Namespace, texts: dict[str, str]) -> None:
    if options.profile is not None:
        texts = {**texts, "profile": options.profile}
    chapters = layout.resolve(options.chapters)
    values = {chapter: _values(layout, chapter, texts) for chapter in chapters}
    folder = options.output or layout.build / "runs"
    if folder.exists() and not folder.is_dir():
        raise ChapterFailed(f"--output must be a folder, got the file {folder}")
    for chapter in execute(layout, chapters, values, destination=folder):
        print(folder / f"{chapter}.ipynb")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process if not given.

    Returns
    -------
    int
        Exit status: 0, or 1 after a failure of which one line has been printed, or 130 and 143
        after an interrupt and a request to end.

    Raises
    ------
    SystemExit
        If the arguments are not understood.
    """
    rest, texts = _pairs(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(rest)
    if texts and options.verb != "run":
        raise SystemExit(f"memnb: {options.verb} takes no -p")
    try:
        with terminable():
            if options.verb == "audit":  # needs no checkout of the book
                _audit(options)
                return 0
            return _do(Layout.here(), options, texts)
    except (AuditFailed, ChapterFailed, NotebookBroken, BuildFailed, NoCheckout) as error:
        print(f"memnb: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # a full disk, a folder that must not be written, and the like
        where = f": {error.filename}" if error.filename else ""
        print(f"memnb: {options.verb}: {error.strerror or error}{where}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("memnb: interrupted; the last good site is untouched", file=sys.stderr)
        return 128 + signal.SIGINT
    except Terminated:
        print("memnb: terminated; the last good site is untouched", file=sys.stderr)
        return 128 + signal.SIGTERM


def _do(layout: Layout, options: argparse.Namespace, texts: dict[str, str]) -> int:
    if options.verb == "run":
        _run(layout, options, texts)
    elif options.verb == "build":
        page = build(layout)
        print(f"The book is at {page}\nOpen that file in a browser, or run `make serve`.")
    elif options.verb == "serve":
        serve(layout, options.port)
    else:
        faults = check(layout)
        print("\n".join(faults) or "All chapters keep the rules.")
        return int(bool(faults))
    return 0


if __name__ == "__main__":
    sys.exit(main())
