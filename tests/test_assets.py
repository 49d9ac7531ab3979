"""The scripts that the site carries fit the packages that make its figures."""

import json
import re

from plotly.offline import get_plotlyjs_version
from support import ROOT

from memnb.explorers import ALL


def test_plotly_script_is_the_version_that_the_package_writes_for():
    head = (ROOT / "assets/plotly/plotly-cartesian.min.js").read_text()[:400]
    assert re.search(r"v(\d+\.\d+\.\d+)", head)[1] == get_plotlyjs_version()


def test_explorers_use_only_trace_types_of_the_cartesian_bundle():
    script = (ROOT / "assets/plotly/plotly-cartesian.min.js").read_text()
    kinds = {t.type for make in ALL.values() for t in make().figure().data}
    assert kinds
    for kind in kinds:
        assert re.search(rf'moduleType:"trace",name:{json.dumps(kind)}', script), kind


def test_modules_of_live_explorers_import_all_that_they_use():
    """Joined into one script they would find each other's names without an import too."""
    texts = {path.name: path.read_text() for path in (ROOT / "assets" / "live").glob("*.js")}
    declared = re.compile(r"^export (?:const|function|class) (\w+)", re.MULTILINE)
    exported = {name: set(declared.findall(text)) for name, text in texts.items()}
    assert sum(map(len, exported.values())) > 40
    for name, text in texts.items():
        imported = set()
        for names, module in re.findall(r'^import \{([^}]*)\} from "\./(.*)";', text, re.MULTILINE):
            imported |= set(re.findall(r"\w+", names))
            assert set(re.findall(r"\w+", names)) <= exported[module]
        code = re.sub(r'//.*|"[^"\n]*"', "", text)
        others = set().union(*(names for other, names in exported.items() if other != name))
        own = set(re.findall(r"\b(?:const|let|function|class) (\w+)", code)) | exported[name]
        own |= set(re.findall(r"^  (\w+)\(.*\) \{$", code, re.MULTILINE))  # methods
        free = {word for word in others - own if re.search(rf"(?<![.\w]){word}\(", code)}
        assert free <= imported, (name, free - imported)
