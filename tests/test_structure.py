"""The layers of docs/architecture.md, held: who may import whom, and what only one file may do."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PORTAL = ROOT / "portal"
DOORS = ("api", "customer", "staff", "incoming")
SUBSCRIPTION = r"(subscription|sub|s|row|each|ending)\.status\b"
LONGEST_FUNCTION, LONGEST_FILE = 60, 400


def files(*folders: str) -> list[Path]:
    """The portal's files, or those of some of its parts: `files("domain", "clock.py")`."""
    parts = [PORTAL / folder for folder in folders] or [PORTAL]
    return sorted(f for part in parts for f in (part.rglob("*.py") if part.is_dir() else (part,)) if f.exists())


def name_of(file: Path) -> str:
    return str(file.relative_to(PORTAL))


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(), str(file))


def imports(file: Path) -> set[str]:
    """Every module a file imports, inside functions too; `from portal import db` counts as `portal.db`."""
    found: set[str] = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(file)} imports relatively"
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def importing(wanted: str, among: list[Path] | None = None) -> list[str]:
    """Which files import a module or something inside it."""
    return [
        name_of(file)
        for file in (files() if among is None else among)
        if any(each == wanted or each.startswith(f"{wanted}.") for each in imports(file))
    ]


def calls(*dotted: str) -> list[str]:
    """`file: call` for every call that ends like one of these: `datetime.now` or `.commit`."""
    return [
        f"{name_of(file)}: {text}"
        for file in files()
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Call) and (text := ast.unparse(node.func))
        if any(text == each.lstrip(".") or text.endswith("." + each.lstrip(".")) for each in dotted)
    ]


def outside(found: list[str], *allowed: str) -> list[str]:
    """What was found in other files than these."""
    return [each for each in found if not each.startswith(allowed)]


def test_the_walk_sees_the_portal() -> None:
    assert len(files()) > 50
    assert "portal.db.transaction" in imports(PORTAL / "customer" / "cancel.py")
    assert importing("flask_login", files("access.py")) == ["access.py"]


@pytest.mark.parametrize("above", ["flask", "flask_login", "flask_wtf", "werkzeug", "portal.web", "portal.access"])
def test_the_domain_knows_nothing_of_http(above: str) -> None:
    assert importing(above, files("domain")) == []


@pytest.mark.parametrize(
    "above",
    [*(f"portal.{door}" for door in DOORS), "portal.outbox", "portal.worker", "portal.demo", "portal.importing"],
)
def test_the_domain_imports_nothing_that_stands_above_it(above: str) -> None:
    assert importing(above, files("domain")) == []


def test_of_the_gateways_the_domain_knows_the_protocol_only() -> None:
    """renewal.py and purchases.py take a Gateway; schema.py collects every table for the migrations."""
    takers = ("domain/renewal.py", "domain/purchases.py")
    assert outside(importing("portal.gateways", files("domain")), *takers, "domain/schema.py") == []
    for taker in takers:
        used = {each for each in imports(PORTAL / taker) if each.startswith("portal.gateways")}
        assert used == {"portal.gateways", "portal.gateways.Gateway"}


@pytest.mark.parametrize("door", DOORS)
def test_doors_do_not_import_one_another(door: str) -> None:
    others = [f"portal.{other}" for other in (*DOORS, "worker", "outbox") if other != door]
    assert {other: found for other in others if (found := importing(other, files(door)))} == {}


@pytest.mark.parametrize("part", ["outbox", "worker", "gateways"])
def test_nothing_below_imports_a_door(part: str) -> None:
    assert {door: found for door in DOORS if (found := importing(f"portal.{door}", files(part)))} == {}


@pytest.mark.parametrize("above", ["portal.worker", "portal.outbox", "flask", "portal.domain.subscriptions"])
def test_gateways_take_and_give_plain_values(above: str) -> None:
    assert importing(above, files("gateways")) == []


def test_top_files_import_a_part_only_where_they_assemble_or_ask_who_is_there() -> None:
    """Parts import top files; back again only where the application or a command is put together, and in access."""
    parts = [f"portal.{folder.name}" for folder in PORTAL.iterdir() if (folder / "__init__.py").exists()]
    top = {name_of(file) for file in PORTAL.glob("*.py") if any(importing(part, [file]) for part in parts)}
    assert top <= {
        "__init__.py",
        "access.py",
        "cli.py",
        "health.py",
        "invoices.py",
        "limits.py",
        "mail_preview.py",
        "server.py",
        "webhook_trial.py",
    }
    assert {"__init__.py", "access.py", "cli.py"} <= top


def test_only_tokens_signs() -> None:
    assert importing("itsdangerous") == ["tokens.py"]


def test_only_db_commits() -> None:
    """The bench fills its databases past the session, and measures what the session costs."""
    found = calls(".commit", ".begin", ".begin_nested", ".rollback")
    assert found, "the search would find one"
    assert [each for each in outside(found, "db.py:", "bench/") if "_sessions.begin" not in each] == []


def test_only_clock_reads_the_wall_clock() -> None:
    found = calls("datetime.now", "datetime.utcnow", "time.time", "time.time_ns", "date.today", "datetime.today")
    found += [
        f"{name_of(f)}: {each}" for f in files() for each in imports(f) if re.fullmatch(r"time\.time(_ns)?", each)
    ]
    assert outside(found, "clock.py:") == []
    assert found


def test_only_config_reads_the_environment() -> None:
    """The demo and the bench build the environment of the processes they start."""
    found = [
        f"{name_of(file)}: {ast.unparse(node)}"
        for file in files()
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.environb", "os.getenv")
    ]
    assert outside(found, "config.py:", "demo/run.py:", "bench/serving.py:") == []
    assert found


def assignments(pattern: str) -> Iterator[str]:
    """`file: target` for every assignment to something that looks like this."""
    for file in files():
        for node in ast.walk(tree(file)):
            for target in getattr(node, "targets", [getattr(node, "target", None)]):
                for each in target.elts if isinstance(target, ast.Tuple) else [target]:
                    if isinstance(each, ast.Attribute) and re.fullmatch(pattern, ast.unparse(each)):
                        yield f"{name_of(file)}: {ast.unparse(each)}"


def test_only_three_files_change_the_status_of_a_subscription() -> None:
    found = list(assignments(SUBSCRIPTION))
    verbs = ("domain/cancellation.py:", "domain/renewal.py:", "domain/pausing.py:")
    assert outside(found, *verbs, "importing/", "bench/") == []
    assert found


def pages() -> list[Path]:
    own = ("email", "invoice")
    return [f for f in (ROOT / "templates").rglob("*.html") if f.relative_to(ROOT / "templates").parts[0] not in own]


def test_pages_have_no_inline_script_and_no_inline_style() -> None:
    forbidden = re.compile(
        r"<style\b|\sstyle\s*=\s*[\"']|<script(?![^>]*\bsrc=)|\son[a-z]+\s*=\s*[\"']|javascript:", re.I
    )
    found = {}
    for page in pages():
        markup = re.sub(r"{[%{#].*?[%}#]}", "", page.read_text(), flags=re.S)
        if hits := forbidden.findall(markup):
            found[page.name] = hits
    assert {name: hits for name, hits in found.items() if name != "mail.html"} == {}
    assert len(pages()) > 10


def test_every_setting_stands_in_the_readme() -> None:
    from dataclasses import fields

    from portal.config import Config

    readme = ROOT / "README.md"
    if not readme.exists():
        pytest.skip("there is no README yet")
    told = readme.read_text()
    assert [f.name for f in fields(Config) if f"PORTAL_{f.name.upper()}" not in told and f.name != "demo_mailbox"] == []


def test_no_file_and_no_function_is_too_long_to_read() -> None:
    long = [f"{name_of(f)}: {n} lines" for f in files() if (n := len(f.read_text().splitlines())) > LONGEST_FILE]
    long += [
        f"{name_of(file)}: {node.name} has {length} lines"
        for file in files()
        for node in ast.walk(tree(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (length := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    ]
    assert long == []


def test_nothing_prints() -> None:
    """Commands speak through click, everything else through its log."""
    assert calls("print") == []
