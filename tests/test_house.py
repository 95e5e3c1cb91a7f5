"""The house rules that no linter knows: small pieces, stated locks, nothing of one machine."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parent.parent
ROOMS = ("schemas", "operators", "pipeline", "replay")
FILE_LINES = 300
BODY_LINES = 40
PARAMETERS = 6
ONE_HOME = {
    "faust": "pipeline/app.py",
    "cupy": "pipeline/device.py",
    "duckdb": "pipeline/archive.py",
}
LOCKS = sorted((HOUSE / "requirements").glob("*.lock"))
# Put together here, so that this file does not break its own rule.
REGISTRIES = (
    "py" + "pi",
    "pythonhosted",
    "repo1?." + "maven",
    "docker.io",
    "quay.io",
    "artifactory",
)
FORBIDDEN = re.compile(
    "|".join(
        ["/" + "work/", "/" + "root/", "--(extra-)?" + "index-url"]
        + [rf"https?://[^/\s]*{name}" for name in REGISTRIES]
    )
)


def _python(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((HOUSE / folder).rglob("*.py"))


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body; its docstring is not counted."""
    body = function.body[1:] if ast.get_docstring(function, clean=False) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many arguments a caller may have to think of; ``self`` and ``cls`` are none."""
    args = function.args
    named = [*args.posonlyargs, *args.args, *args.kwonlyargs]
    return len([arg for arg in named if arg.arg not in {"self", "cls"}])


def _imported(tree: ast.AST) -> set[str]:
    """Top-level names of all packages a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func).rpartition(".")[2]
            if called in {"import_module", "__import__"}:
                names.add(str(node.args[0].value))
    return {name.partition(".")[0] for name in names}


def test_files_are_short() -> None:
    """No file of Python is longer than 300 lines."""
    long = {
        str(path.relative_to(HOUSE)): lines
        for path in _python(*ROOMS, "tests")
        if (lines := len(path.read_text().splitlines())) > FILE_LINES
    }
    assert not long


def test_functions_are_short() -> None:
    """No function of the four rooms has a body longer than 40 lines, docstring apart."""
    long = {
        f"{path.relative_to(HOUSE)}:{function.lineno} {function.name}": lines
        for path in _python(*ROOMS)
        for function in _functions(ast.parse(path.read_text()))
        if (lines := _body_lines(function)) > BODY_LINES
    }
    assert not long


def test_functions_take_few_parameters() -> None:
    """No function of the four rooms takes more than 6: beyond that it is a record of settings."""
    wide = {
        f"{path.relative_to(HOUSE)}:{function.lineno} {function.name}": count
        for path in _python(*ROOMS)
        for function in _functions(ast.parse(path.read_text()))
        if (count := _parameters(function)) > PARAMETERS
    }
    assert not wide


def test_the_measures_can_fail() -> None:
    """Seven parameters, 41 lines and a hidden import are seen, so that the rules above hold."""
    body = "\n".join(f"    x = {n}" for n in range(41))
    tree = ast.parse(f"def f(self, a, b, /, c, *, d, e, g, h):\n    'doc'\n{body}")
    [function] = _functions(tree)
    assert (_parameters(function), _body_lines(function)) == (7, 41)
    hidden = "def f():\n    import faust.types\n    importlib.import_module('cupy.cuda')"
    assert {"faust", "cupy"} <= _imported(ast.parse(hidden))
    assert FORBIDDEN.search("see /" + "work/x")
    assert FORBIDDEN.search("https://" + "py" + "pi.org/")


@pytest.mark.parametrize(("package", "home"), ONE_HOME.items())
def test_one_file_imports_it(package: str, home: str) -> None:
    """Faust, CuPy and DuckDB have one file each, so that each can be replaced."""
    importers = [
        str(path.relative_to(HOUSE))
        for path in _python(*ROOMS)
        if package in _imported(ast.parse(path.read_text()))
    ]
    assert importers == [home]


def test_imports_run_one_way() -> None:
    """Imports run schemas <- operators <- pipeline <- replay, and the other contracts hold."""
    program = Path(sys.executable).with_name("lint-imports")
    if not program.exists():
        pytest.skip("import-linter is not installed beside this Python; make setup")
    done = subprocess.run(
        [program, "--no-cache", "--no-logo"], cwd=HOUSE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def _learned_late(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls within functions after which msgspec knows a type."""
    for function in _functions(tree):
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            name = ast.unparse(call.func)
            typed = any(word.arg == "type" for word in call.keywords)
            if name.endswith(".Decoder") or (name == "msgspec.json.decode" and typed):
                yield call


def test_types_are_learned_with_their_module() -> None:
    """Two threads that teach msgspec one type at once end the process: decoders are constants."""
    locked = "pipeline/snapshot.py"
    late = [
        f"{path.relative_to(HOUSE)}:{call.lineno}"
        for path in _python("schemas", "pipeline")
        for call in _learned_late(ast.parse(path.read_text()))
        if str(path.relative_to(HOUSE)) != locked
    ]
    assert late == []


def test_there_is_no_junk_drawer() -> None:
    """A file says what it is about: no utils, common, helpers, base or core."""
    junk = {"utils", "util", "common", "helpers", "base", "core", "misc"}
    found = [path for path in _python(*ROOMS) if {path.stem, *path.parts[-2:-1]} & junk]
    assert not found


def test_nothing_of_one_machine_is_tracked() -> None:
    """No tracked text holds a path of somebody's machine or the address of a registry."""
    done = subprocess.run(
        ["git", "-C", str(HOUSE), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("not a git clone")
    found = {}
    for name in done.stdout.decode().split("\0"):
        path = HOUSE / name
        if name and path.is_file() and b"\0" not in (raw := path.read_bytes())[:1024]:
            hit = FORBIDDEN.search(raw.decode(errors="replace"))
            if hit:
                found[name] = hit[0]
    assert not found


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_locks_are_hashed_and_name_no_registry(lock: Path) -> None:
    """Each requirement has hashes; no line is an option or an address."""
    text = lock.read_text()
    assert not re.search(r"^\s*--(?!hash=)|https?:|@ ", text, re.MULTILINE)
    requirements = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert requirements
    assert [entry for entry in requirements if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize(
    ("lock", "extras"), [("run", []), ("gpu", ["gpu"]), ("dev", ["dev", "plot"])]
)
def test_locks_hold_what_the_project_asks_for(lock: str, extras: list[str]) -> None:
    """A dependency added to pyproject.toml without `make lock` is found here."""
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"]]
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    text = (HOUSE / "requirements" / f"{lock}.lock").read_text()
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))
    for requirement in wanted:
        name, pin = re.match(r"([A-Za-z0-9-]+)(?:\[\w+\])?(?:==([\w.]+))?", requirement).groups()
        if name != "lockstep":
            assert name in locked, f"{requirement}: not in {lock}.lock; run make lock"
            assert pin in {None, locked[name]}, f"{requirement}: {locked[name]} in {lock}.lock"
