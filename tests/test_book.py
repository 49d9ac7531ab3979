"""Building the book: only what changed is executed, and no failure or kill breaks the site."""

import hashlib
import json
import os
import pkgutil
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
import yaml
from nbclient import NotebookClient
from PIL import Image
from support import ROOT, notebook

from memnb import parameters
from memnb.book.api import PARTS, api_pages, package_map
from memnb.book.check import check
from memnb.book.layout import Layout
from memnb.book.pages import times_page, with_explorers
from memnb.book.publish import configured, downloads, finish
from memnb.book.verdicts import anchored, with_claims


def snapshot(folder):
    """Hash of every file below a folder."""
    files = sorted(p for p in folder.resolve().rglob("*") if p.is_file())
    return {
        str(p.relative_to(folder.resolve())): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in files
    }


def finished(book):
    folder = book.root / "_build" / "executed"
    return {p.stem: p.stat().st_mtime_ns for p in folder.glob("*.json")}


def test_build_executes_only_what_changed_and_failure_leaves_the_site(built):
    book = built
    assert "3" in (book.site / "notebooks" / "02-b.html").read_text()
    before, site = finished(book), snapshot(book.site)

    again = book.cli("build")
    assert again.returncode == 0 and "Nothing has changed" in again.stdout
    assert finished(book) == before and snapshot(book.site) == site

    book.write("02-b", "print(x + 40)")
    assert book.cli("build").returncode == 0
    after = finished(book)
    assert after["01-a"] == before["01-a"] and after["02-b"] > before["02-b"]
    assert "41" in (book.site / "notebooks" / "02-b.html").read_text()

    site = snapshot(book.site)
    book.write("01-a", "raise ValueError('N must be at least 2, got 1')")
    failed = book.cli("build")
    assert failed.returncode == 1
    assert "chapter 01-a: ValueError: N must be at least 2, got 1" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert snapshot(book.site) == site

    book.write("01-a", "print(x + 1)")
    (book.root / "book" / "intro.md").write_text("# A small book\n\n[missing](nowhere.md)\n")
    failed = book.cli("build")
    assert failed.returncode == 1 and "nowhere" in failed.stderr
    assert snapshot(book.site) == site


def test_killed_builds_never_leave_a_broken_site(built):
    book = built
    pages = ("book/intro.html", "notebooks/01-a.html", "notebooks/02-b.html", "book/claims.html")
    generator = random.Random(0)
    began = time.monotonic()
    book.write("01-a", "print(0)")
    assert book.cli("build").returncode == 0
    whole = time.monotonic() - began
    for attempt in range(10):
        book.write("01-a", f"print({attempt} + 1000)")
        job = subprocess.Popen(
            book.command("build"),
            env=book.environment,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(generator.uniform(0, whole))
        os.killpg(job.pid, signal.SIGKILL)
        job.wait()
        for page in pages:
            text = (book.site / page).read_text()
            assert text.rstrip().endswith("</html>"), f"{page} is broken after kill {attempt}"
        assert "book/intro.html" in (book.site / "index.html").read_text()
        assert (book.site / ".memnb-fingerprint").is_file()
    last = book.cli("build")
    assert last.returncode == 0, last.stderr
    assert "1009" in (book.site / "notebooks" / "01-a.html").read_text()
    left = [p.name for p in (book.root / "_build").iterdir()]
    assert not [name for name in left if name.startswith("stage-")], left
    assert len([name for name in left if name.startswith("site-")]) == 1, left


def test_the_fingerprint_covers_package_pins_and_parameters(book, tmp_path):
    """A copy of the package stands in for an edited one."""
    package = tmp_path / "copy" / "memnb"
    shutil.copytree(ROOT / "memnb", package, ignore=shutil.ignore_patterns("__pycache__"))

    def digest(parameters="{}"):
        code = (
            "from memnb.book.execute import fingerprint; from memnb.book.layout import Layout;"
            f"print(fingerprint(Layout.here(), '01-a', {parameters}))"
        )
        environment = {**book.environment, "PYTHONPATH": str(package.parent)}
        command = [sys.executable, "-c", code]
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = digest()
    assert digest() == first
    assert digest("{'N': 3}") != first
    with open(package / "data.py", "a") as file:
        file.write("\n# edited\n")
    second = digest()
    assert second != first
    with open(package / "book" / "site.py", "a") as file:
        file.write("\n# edited: this does not enter a chapter's outputs\n")
    assert digest() == second
    stored = book.root / "results" / "02-b" / "run.json"
    stored.parent.mkdir(parents=True)
    stored.write_text("{}")
    assert digest() == second, "results of another chapter"
    stored = stored.parents[1] / "01-a" / "run.json"
    stored.parent.mkdir()
    stored.write_text("{}")
    third = digest()
    assert third != second
    (book.root / "requirements.lock").write_text("torch==0\n")
    assert digest() != third


def test_command_line(book):
    for verb in ("run", "build", "check", "serve"):
        shown = book.cli(verb, "--help")
        assert shown.returncode == 0 and verb in shown.stdout
    unknown = book.cli("run", "99-missing")
    assert unknown.returncode != 0
    assert "unknown chapter '99-missing', allowed: 01-a, 02-b" in unknown.stderr
    assert "run `make book` first" in book.cli("serve").stderr
    wrong = book.cli("run", "1", "-p", "y", "5")
    assert wrong.returncode == 1
    assert wrong.stderr == "memnb: chapter 01-a: no parameter 'y', allowed: x\n"
    for value in ("2+3j", "{1, 2}", "1e999"):
        wrong = book.cli("run", "1", "-p", "x", value)
        line = f"memnb: chapter 01-a: x must be a value that JSON can hold, got {value}\n"
        assert wrong.returncode == 1 and wrong.stderr == line
    done = book.cli("run", "1", "-p", "x", "5", "--output", book.root / "out")
    assert done.returncode == 0, done.stderr
    cells = json.loads((book.root / "out" / "01-a.ipynb").read_text())["cells"]
    assert "6\n" in next(o["text"] for c in cells for o in c.get("outputs", []))
    assert not book.site.exists()


def test_check_names_each_broken_rule(book):
    layout = Layout(book.root)
    assert check(layout) == []
    bad = notebook("print(1)\n" * 31, "y = 1  # " + "x" * 80, "figure.show()\nassert y")
    bad["cells"][2]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "1\n"}]
    bad["cells"][2]["execution_count"] = 1
    bad["cells"][1]["metadata"] = {}
    bad["cells"][0]["source"] += "\n\n[](02-b.ipynb)"
    bad["cells"][3]["metadata"] = {"tags": ["hide-input"]}
    bad["cells"][4]["metadata"] = {"jupyter": {"source_hidden": True}}
    (book.root / "notebooks" / "01-a.ipynb").write_text(json.dumps(bad))
    faults = "\n".join(check(layout))
    for part in (
        "parameters",
        "31 lines",
        "89 characters",
        "outputs outside",
        "without alt text",
        "a bare assert",
        "cell 0: a link without text",
        "cell 3: folded on the site only",
        "cell 4: folded in JupyterLab only",
    ):
        assert part in faults, (part, faults)
    assert "nbstripout" in faults


def test_check_finds_requests_to_the_outside(book):
    page = book.site / "x.html"
    page.parent.mkdir(parents=True)
    page.write_text('<script src="https://cdn.example.org/a.js"></script>')
    assert any("loads something from outside" in fault for fault in check(Layout(book.root)))


def test_generated_pages():
    from memnb.claims import check as claim

    record = claim("A | B", source="S", chapter="01-a", measured="1", holds=True, notices="2")
    output = {"data": record._repr_mimebundle_()}
    executed = {"01-a": {"cells": [{"cell_type": "code", "outputs": [output]}]}}
    page = with_claims("# Claims\n\n% claims\n\nWithout a list\n", executed)
    assert page.startswith("# Claims\n") and "Without a list" not in page
    assert with_claims("# Notation\n", executed) == "# Notation\n"
    assert '<span class="memnb-verdict memnb-reproduced">1 reproduced</span></p>' in page
    assert page.count('<li class="memnb-row"') == 1
    for part in ("A | B <small>(S)</small>", "</strong> 2</p>", "../notebooks/01-a.html#claim-1"):
        assert part in page
    places = {
        "P2, Section 4 and Figure 4": "Section 4", "P2, Section 3.1": "Section 3",
        "P2, Figure 3": "Figures", "P2, eqs. (8) and (9)": "Equations",
        "P2, appendix A, eq. (25)": "Appendix A", "P2, conclusion": "Abstract",
        "Zeno et al. 2025, Theorem 4.2": "Section 4", "Zeno et al. 2025": "Elsewhere",
        "this book, after P2": "This book",
    }  # fmt: skip
    outputs = [
        {"data": claim(s, source=s, chapter="01-a", measured="1", holds=True, notices="2")
         ._repr_mimebundle_()} for s in places
    ]  # fmt: skip
    page = with_claims(
        "\n% claims\n", {"01-a": {"cells": [{"cell_type": "code", "outputs": outputs}]}}
    )
    for place, section in places.items():
        row = re.search(f"<summary>{re.escape(place)}[ <]", page).start()
        headings = re.findall("^#+ (.*)$", page[:row], re.MULTILINE)
        assert headings[-1] == section, place
    times = {
        "seconds": 2.25, "parameters": {"profile": "paper"}, "finished": "now",
        "versions": {"torch": "1"}, "python": "3",
    }  # fmt: skip
    assert "| 2.2 | 1 | paper | now |" in times_page({"01-a": times}, executed)


def test_chapters_and_claims_page_refer_to_each_other():
    from memnb.claims import check as claim

    record = claim("`a` < b", source="P2, eq. (1)", chapter="01-a", measured="1", holds=True,
                   expect="differs", notices="2")  # fmt: skip
    outputs = [{"data": record._repr_mimebundle_()}, {"data": record._repr_mimebundle_()}]
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "\n", "Text"]},
        {"cell_type": "code", "outputs": outputs},
    ]
    page = with_claims("\n% claims\n", {"01-a": {"cells": cells}})
    assert "## P2" in page and "## This book" not in page
    assert "<summary><code>a</code> &lt; b <small>(eq. (1))</small></summary>" in page
    places = re.findall(r"01-a\.html#(claim-\d+)", page)
    chapter = anchored({"cells": cells})["cells"]
    shown = "".join(output["data"]["text/html"] for output in chapter[1]["outputs"])
    assert re.findall(r'id="(claim-\d+)"', shown) == places == ["claim-1", "claim-2"]
    assert "<style>" not in shown, "the site has its own style sheet"
    title, line, text = chapter[0]["source"].split("\n\n")
    assert (title, text) == ("# Title", "Text")
    assert "claims.html?chapter=01-a" in line and ">2 differs<" in line


def test_api_pages_follow_the_map_of_the_package():
    import memnb

    names = [name for name, _, _ in package_map()]
    for package, (_, _, modules) in PARTS.items():
        found = pkgutil.iter_modules([ROOT / "memnb" / package])
        assert set(modules) < {m.name for m in found}, package
    public = {m.name for m in pkgutil.iter_modules(memnb.__path__) if m.name != "__main__"}
    assert set(names) == public == set(memnb._PACKAGES), "the map is not the package"
    pages = api_pages()
    packages = {m.name for m in pkgutil.iter_modules(memnb.__path__) if m.ispkg} - {"book"}
    own = [f"api-{name}" for name in names if name in packages]
    own.insert(own.index("api-unet") + 1, "api-unet-measures")
    assert list(pages) == ["api", "api-shared", *own]
    toc = (ROOT / "_toc.yml").read_text()
    assert re.findall(r"file: book/(api\S*)", toc) == list(pages)
    assert re.findall(r"\]\((api-[\w-]+)\.md\)", pages["api"]) == list(pages)[1:]
    assert pages["api-explorers"].startswith(
        "# memnb.explorers: one module a chapter: figures with controls, and their values "
        "(all chapters)\n"
    )
    # Every name is documented where it is defined; what is re-exported not a second time.
    sections = {
        module: (page, options)
        for page, text in pages.items()
        for module, options in re.findall(r"automodule:: (\S+)\n(.*?)```", text, re.DOTALL)
    }
    assert all(
        page.removesuffix("-measures")
        == ("api" if name == "memnb" else "api-" + name.split(".")[1])
        or (page == "api-shared" and name.split(".")[1] not in packages)
        for name, (page, _) in sections.items()
    )
    for name in memnb.__all__:
        home = getattr(getattr(memnb, name), "__module__", "memnb.minnorm.endpoints")
        assert not re.search(rf"exclude-members:.*\b{name}\b", sections[home][1]), name
    assert "exclude-members: Axis, Explorer\n" in sections["memnb.explorers"][1]
    assert "Diverged" in re.search("exclude-members: (.*)", sections["memnb.shallow"][1])[1]


OTHER = {
    "smallest": {"N": 2, "d": 1, "live_N": 2, "live_d": 1, "n_starts": 20, "n_simulations": 20},
    "large": {"N": 31, "d": 100, "norm": "linf", "threshold": 0.3, "n_simulations": 20},
}
RUNS = [
    pytest.param(chapter, values, id=f"{chapter}-{size}")
    for chapter, entry in parameters.CHAPTERS.items()
    for size, every in OTHER.items()
    if (values := {name: v for name, v in every.items() if name in entry.parameters})
]


@pytest.mark.parametrize(("chapter", "values"), RUNS)
def test_chapters_run_with_other_parameters(chapter, values, tmp_path):
    pairs = [text for name, value in values.items() for text in ("-p", name, str(value))]
    command = [sys.executable, "-m", "memnb", "run", chapter, *pairs, "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_all_addresses_follow_from_that_of_the_repository():
    empty = configured({"html": {"favicon": "x"}, "repository": {"url": ""}})
    assert empty == {"html": {"favicon": "x"}}
    full = configured({"repository": {"url": "https://github.com/Owner/book", "branch": "main"}})
    settings = full["sphinx"]["config"]
    assert settings["html_baseurl"] == "https://owner.github.io/book/"
    assert settings["html_theme_options"]["use_issues_button"]
    buttons = settings["html_theme_options"]["launch_buttons"]
    assert buttons["binderhub_url"] and buttons["colab_url"]
    with pytest.raises(ValueError, match="OWNER/NAME or empty"):
        configured({"repository": {"url": "github.com/a/b"}})


@pytest.mark.parametrize("base", ["", "https://owner.github.io/book/"])
def test_a_finished_site_describes_its_pages(tmp_path, base):
    page = tmp_path / "notebooks" / "a.html"
    page.parent.mkdir()
    page.write_text(
        "<html><head><title>A &amp; B</title></head><body><article><h1>A</h1>"
        '<p class="memnb-verdicts">2</p>\n<p><strong>Why</strong> is \\(x\\) "so"?</p></article>'
    )
    card = tmp_path / "_static" / "cards" / "a.png"
    card.parent.mkdir(parents=True)
    card.touch()
    root = tmp_path / "index.html"
    root.write_text('<meta http-equiv="Refresh" content="0; url=notebooks/a.html" />')
    finish(tmp_path, base)
    start = root.read_text()
    assert 'content="0; url=notebooks/a.html"' in start and "<title>A &amp; B</title>" in start
    assert 'name="description" content="Why is x &quot;so&quot;?"' in start
    assert f'property="og:image" content="{base}_static/cards/a.png"' in start
    assert (f'property="og:url" content="{base}"' in start) == bool(base)
    text = page.read_text()
    assert f'property="og:image" content="{base or "../"}_static/cards/a.png"' in text
    for name in ('property="og:description"', 'name="description"'):
        assert f'<meta {name} content="Why is x &quot;so&quot;?">' in text
    assert '<meta property="og:title" content="A &amp; B">' in text
    assert ('property="og:url"' in text) == (tmp_path / "sitemap.xml").exists() == bool(base)
    if base:
        assert f"<loc>{base}notebooks/a.html</loc>" in (tmp_path / "sitemap.xml").read_text()
        assert f'href="{base}"' in (tmp_path / "404.html").read_text()


def test_each_chapter_has_a_picture_for_links():
    for name in ("intro", *Layout(ROOT).chapters()):
        path = ROOT / "assets" / "cards" / f"{name}.png"
        assert Image.open(path).size == (1200, 630) and path.stat().st_size < 150_000


def test_colab_opens_the_published_notebooks(tmp_path):
    page = tmp_path / "a.html"
    start = "https://colab.research.google.com/github/owner/book/blob"
    page.write_text(f'<head><title>A</title></head><a href="{start}/main/notebooks/a.ipynb">')
    finish(tmp_path, "https://owner.github.io/book/")
    assert f"{start}/gh-pages/_sources/notebooks/a.ipynb" in page.read_text()


@pytest.mark.parametrize("url", ["", "https://github.com/owner/book"])
def test_a_downloaded_chapter_says_how_to_install_and_runs_outside_the_tree(tmp_path, url):
    (tmp_path / "_sources" / "notebooks").mkdir(parents=True)
    notebooks, chapters = ROOT / "notebooks", Layout(ROOT).chapters()
    downloads(tmp_path, notebooks, chapters, {"url": url, "branch": "main"})
    for chapter in chapters:
        written = tmp_path / "_sources" / "notebooks" / f"{chapter}.ipynb"
        first, *others = nbformat.read(written, as_version=4).cells
        assert first.cell_type == "code"
        assert (f"git clone --quiet --depth 1 --branch main {url} " in first.source) == bool(url)
        assert "pip install" in first.source and "MEMNB_ROOT" in first.source
        assert others == nbformat.read(notebooks / f"{chapter}.ipynb", as_version=4).cells
    if url:
        outside = nbformat.read(written.with_name("02-probability-flow.ipynb"), as_version=4)
        done = NotebookClient(outside, resources={"metadata": {"path": tmp_path}}).execute()
        assert any(cell.get("outputs") for cell in done.cells)


def test_this_environment_is_what_the_files_for_binder_install(tmp_path):
    """A fresh checkout makes its environment by them, so they are tried wherever this runs."""
    folder = ROOT / ".binder"
    named = (folder / "requirements.txt").read_text().split()
    assert named == ["-r", "../requirements.lock"] and (folder / named[1]).is_file()
    assert "--no-deps -e ." in (folder / "postBuild").read_text()
    makefile = (ROOT / "Makefile").read_text()
    recipe = makefile.partition("\n$(STAMP): ")[2].partition("\n\n")[0]
    assert recipe.count("pip install") == 1 and "-r .binder/requirements.txt\n" in recipe
    assert "bash .binder/postBuild\n" in recipe
    assert (folder / "runtime.txt").read_text() == "python-3.11\n"
    assert sys.version_info[:2] == (3, 11)
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and line[0] != "#")
    found = {name: metadata.version(name).partition("+")[0] for name in pins}
    assert found == pins and len(pins) > 100
    settings = Path(sys.prefix) / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
    assert settings.read_text() == (ROOT / ".lab" / "overrides.json").read_text()
    # Elsewhere and without the path of this process: the package itself is installed, from a folder
    code = (
        "from importlib.metadata import distribution;"
        "print(distribution('memnb').read_text('direct_url.json'))"
    )
    asked = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert '"editable": true' in asked.stdout


def test_the_workflow_tests_before_it_publishes():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "book.yml").read_text())["jobs"]
    commands = [step.get("run", "") for step in jobs["test"]["steps"]]
    assert commands.index("make test") < commands.index("make book")
    assert jobs["publish"]["needs"] == "test"
    assert jobs["publish"]["if"] == "github.ref == 'refs/heads/main'"
    pushed = [step["run"] for step in jobs["publish"]["steps"] if "run" in step]
    assert len(pushed) == 1 and pushed[0].rstrip().endswith("gh-pages")


def test_a_page_names_the_explorers_that_it_shows():
    page = "# A page\n\n% explorer: preface\n\nWords; % explorer: preface\n"
    shown = with_explorers(page)
    assert shown.count('class="memnb-live"') == 1 and "{raw} html" in shown
    assert shown.endswith("\n\nWords; % explorer: preface\n")
    with pytest.raises(ValueError, match="explorer must be one of 'preface', got 'x'"):
        with_explorers("% explorer: x\n")
