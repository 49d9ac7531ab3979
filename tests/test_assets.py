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
