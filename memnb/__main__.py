"""The command line of the book: ``python -m memnb run | build | check | serve``."""

import argparse
import ast
import sys
from pathlib import Path

from memnb.book.check import check
from memnb.book.execute import ChapterFailed, execute
from memnb.book.layout import Layout
from memnb.book.site import BuildFailed, build, serve
from memnb.validation import PROFILES

__all__ = ["main"]


def _value(text):
    """A Python literal, or else the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _parser():
    parser = argparse.ArgumentParser(prog="python -m memnb", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="execute chapters with parameters of your own")
    run.add_argument("chapters", nargs="*", metavar="CHAPTER", help="name or number; all if none")
    run.add_argument(
        "-p",
        dest="parameters",
        nargs=2,
        action="append",
        default=[],
        metavar=("name", "value"),
        help="a value for the parameters cell; may be repeated",
    )
    run.add_argument("--profile", default=None, help=f"one of {', '.join(PROFILES)}")
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
    server.add_argument("--port", type=int, default=8000, help="0 takes a free one (default 8000)")
    return parser


def _run(layout, options):
    parameters = {name: _value(value) for name, value in options.parameters}
    if options.profile is not None:
        parameters["profile"] = options.profile
    folder = options.output or layout.build / "runs"
    done = execute(layout, layout.resolve(options.chapters), parameters, destination=folder)
    for chapter in done:
        print(folder / f"{chapter}.ipynb")


def main(arguments=None):
    """Run one verb; returns the exit status."""
    options = _parser().parse_args(arguments)
    layout = Layout.here()
    try:
        if options.verb == "run":
            _run(layout, options)
        elif options.verb == "build":
            page = build(layout)
            print(f"The book is at {page}\nOpen that file in a browser, or run `make serve`.")
        elif options.verb == "serve":
            serve(layout, options.port)
        else:
            faults = check(layout)
            print("\n".join(faults) or "All chapters keep the rules.")
            return int(bool(faults))
    except (ChapterFailed, BuildFailed) as error:
        print(f"memnb: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("memnb: interrupted; the last good site is untouched", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
