"""A user's templates: they replace or extend ours, their errors are named, and they never reach the network."""

import json
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import pytest
import typst

from pacspace_stripe.comparison.rules.verdicts import Reason, Verdict
from pacspace_stripe.documents import templates as module
from pacspace_stripe.documents.renderer import Documents
from pacspace_stripe.documents.rules.letterhead import Language, Letterhead
from pacspace_stripe.documents.templates import Templates, built_in
from pacspace_stripe.documents.typesetting import Typesetter
from pacspace_stripe.errors import RenderError
from tests.support.document_views import HOSTILE, SHA256, footer, named, root, statement
from tests.support.pdfs import dense, pages


@pytest.fixture(scope="module")
def documents() -> Documents:
    return Documents(Templates())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_a_users_footer_replaces_ours(folder: Path) -> None:
    (folder / "invoice_footer.txt.jinja").write_text("{{ windows[0].proof_root }} | {{ evidence_sha256 }}\n")
    assert Documents(Templates(folder)).render_footer(footer(named())) == f"{root(0)} | {SHA256}"


def test_templates_that_the_user_does_not_override_stay_ours(folder: Path, documents: Documents) -> None:
    mine = Documents(Templates(folder))
    assert mine.render_footer(footer(named())) == documents.render_footer(footer(named()))
    assert mine.render_statement(statement()) == documents.render_statement(statement())


def test_a_users_statement_replaces_ours_and_may_import_its_neighbours(folder: Path) -> None:
    (folder / "part.typ").write_text("#let greeting = [Good day]")
    (folder / "statement.typ").write_text(
        '#import "part.typ": greeting\n#let data = json(bytes(sys.inputs.data))\n#greeting, #data.customer'
    )
    assert "Good day, Globex Corporation" in pages(Documents(Templates(folder)).render_statement(statement()))[0]


def test_fonts_in_the_users_template_folder_are_used(folder: Path) -> None:
    (folder / "fonts").mkdir()
    assert Templates(folder).font_folders == (folder / "fonts",)
    Documents(Templates(folder)).render_statement(statement())


def test_a_template_folder_that_does_not_exist_is_an_error(folder: Path) -> None:
    with pytest.raises(RenderError, match="does not exist"):
        Templates(folder / "nowhere")


def test_a_template_that_no_folder_has_is_an_error() -> None:
    with pytest.raises(RenderError, match=r"none\.txt: no such template"):
        Templates().path("none.txt")


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("ok\n{{ proof }}", "line 2: 'proof' is undefined"),
        ("{{ windows[0].hash }}", "line 1: 'dict object' has no attribute 'hash'"),
        ("a\nb\n{% if %}", "line 3: Expected an expression"),
        ("\n{{ windows | nice }}", "line 2: No filter named 'nice'"),
        ("{{ 1 / 0 }}", "line 1: division by zero"),
        ("{{ ''.__class__.__mro__ }}", "line 1: access to attribute '__class__' of 'str' object is unsafe"),
        ("{{ windows.append(1) }}", "line 1: access to attribute 'append' of 'list' object is unsafe"),
        ("{% include 'part.txt' %}", "line 1: no template part.txt"),
        ("\n{% include 'invoice_footer.txt.jinja' %}", "line 2: maximum recursion depth"),
    ],
)
def test_a_broken_footer_names_template_line_and_name(folder: Path, template: str, problem: str) -> None:
    (folder / "invoice_footer.txt.jinja").write_text(template)
    with pytest.raises(RenderError, match=f"^invoice_footer.txt.jinja {problem}") as caught:
        Documents(Templates(folder)).render_footer(footer(named()))
    assert str(folder / "invoice_footer.txt.jinja") in caught.value.hint


def test_an_error_in_an_included_template_names_that_one(folder: Path) -> None:
    (folder / "invoice_footer.txt.jinja").write_text("{% include 'part.txt' %}")
    (folder / "part.txt").write_text("\n{{ nobody }}")
    with pytest.raises(RenderError, match=r"^part.txt line 2: 'nobody' is undefined"):
        Documents(Templates(folder)).render_footer(footer(named()))


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("ok\n\n#nobody", "line 3: unknown variable: nobody"),
        (
            "#let data = json(bytes(sys.inputs.data))\n#data.nothing",
            'line 2: dictionary does not contain key "nothing"',
        ),
        ("#(", "line 1: unclosed delimiter"),
        ('#read("/etc/hostname")', "line 1: "),
    ],
)
def test_a_broken_statement_names_template_line_and_name(folder: Path, template: str, problem: str) -> None:
    (folder / "statement.typ").write_text(template)
    with pytest.raises(RenderError, match=f"^statement.typ {problem}") as caught:
        Documents(Templates(folder)).render_statement(statement())
    assert str(folder / "statement.typ") in caught.value.hint


def test_the_wheels_folder_comes_before_the_checkouts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = folder / "pacspace_stripe"
    shutil.copytree(Templates().folders[0], folder / "templates")
    package.mkdir()
    monkeypatch.setattr(module, "_PACKAGE", package)
    assert Templates().folders == (folder / "templates",)
    (package / "templates").mkdir()
    assert Templates().folders == (package / "templates",)


# -- extending ours -----------------------------------------------------------------------------------------------


def test_a_users_footer_can_change_one_part_of_ours(folder: Path, documents: Documents) -> None:
    (folder / "invoice_footer.txt.jinja").write_text(
        '{% extends "builtin/invoice_footer.txt.jinja" %}\n{% block heading %}Usage in PacSpace{% endblock %}\n'
    )
    ours = documents.render_footer(footer(named())).splitlines()
    assert Documents(Templates(folder)).render_footer(footer(named())).splitlines() == ["Usage in PacSpace", *ours[1:]]


def test_a_part_of_our_footer_can_be_repeated_and_added_to(folder: Path, documents: Documents) -> None:
    (folder / "invoice_footer.txt.jinja").write_text(
        '{% extends "builtin/invoice_footer.txt.jinja" %}\n'
        "{% block window %}{{ super() }} ({{ recorded(window) }}){% endblock %}\n"
        "{% block closing %}Thank you{% endblock %}\n"
    )
    ours = documents.render_footer(footer(named(), named(1)))
    mine = Documents(Templates(folder)).render_footer(footer(named(), named(1)))
    assert mine.count("(1250.5 in 42 records)") == 2
    assert mine.replace(" (1250.5 in 42 records)", "") == f"{ours}\nThank you"


def test_builtin_always_names_our_template(folder: Path) -> None:
    (folder / "builtin").mkdir()
    (folder / "builtin/invoice_footer.txt.jinja").write_text("mine")
    (folder / "invoice_footer.txt.jinja").write_text('{% include "builtin/invoice_footer.txt.jinja" %}')
    assert SHA256 in Documents(Templates(folder)).render_footer(footer(named()))


def test_a_users_statement_can_rearrange_the_pieces_of_ours(folder: Path) -> None:
    (folder / "statement.typ").write_text(
        '#import "@builtin/statement:1.0.0": *\n#show: sheet\n#facts\n'
        "In our own words: #strong(data.verdict)\n#windows\n"
    )
    (page,) = pages(Documents(Templates(folder)).render_statement(statement()))
    assert "In our own words: matched" in page
    assert "cus_0:api_calls" in page
    assert "Page 1 of 1" in page
    assert "The billed usage agrees" not in page


def test_a_wrong_value_for_a_piece_of_ours_is_an_error_in_the_users_statement(folder: Path) -> None:
    (folder / "statement.typ").write_text('#import "@builtin/statement:1.0.0": *\n\n#say("nonsense")')
    with pytest.raises(RenderError, match=r"^statement.typ line 3: .*nonsense"):
        Documents(Templates(folder)).render_statement(statement())


def test_an_error_in_a_file_that_a_statement_imports_names_that_one(folder: Path) -> None:
    (folder / "statement.typ").write_text('#import "part.typ": *')
    (folder / "part.typ").write_text("\n#nobody")
    with pytest.raises(RenderError, match=r"^part.typ line 2: unknown variable: nobody"):
        Documents(Templates(folder)).render_statement(statement())


# -- text is never markup -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["page.html", "page.html.jinja"])
def test_hostile_names_are_text_in_html(folder: Path, name: str) -> None:
    (folder / name).write_text('<p title="{{ customer }}">{{ customer }}</p>')
    hostile = HOSTILE + "</p><script>alert('x')</script>\" onmouseover=\"x"
    html = Templates(folder).render(name, {"customer": hostile})
    assert "<script" not in html
    assert html.count("<") == 2
    assert html.count('"') == 2
    assert unescape(html) == f'<p title="{hostile}">{hostile}</p>'


def test_hostile_names_are_text_in_a_footer_that_extends_ours(folder: Path) -> None:
    (folder / "invoice_footer.txt.jinja").write_text(
        '{% extends "builtin/invoice_footer.txt.jinja" %}{% block closing %}{{ windows[0].meter }}{% endblock %}'
    )
    text = Documents(Templates(folder)).render_footer(footer(replace(named(), meter=HOSTILE)))
    assert text.count(HOSTILE) == 2


def test_hostile_names_are_text_in_a_users_statement(folder: Path) -> None:
    (folder / "statement.typ").write_text("#let data = json(bytes(sys.inputs.data))\n#data.customer")
    (page,) = pages(Documents(Templates(folder)).render_statement(replace(statement(), customer=HOSTILE)))
    assert dense(HOSTILE) in dense(page)


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ windows.clear() }}",
        "{{ '{0.__class__}'.format(windows) }}",
        "{% set windows = windows.__class__ %}{{ windows }}",
        "{% include '../secret.txt' %}",
        "{% include '/etc/hostname' %}",
        "{{ range(1000000) }}",
    ],
)
def test_a_template_reaches_nothing_but_its_values(folder: Path, template: str) -> None:
    (folder / "mine").mkdir()
    (folder / "secret.txt").write_text("secret")
    (folder / "mine/invoice_footer.txt.jinja").write_text(template)
    with pytest.raises(RenderError, match=r"^invoice_footer.txt.jinja line 1: "):
        Documents(Templates(folder / "mine")).render_footer(footer(named()))


@pytest.mark.parametrize("path", ["/etc/hostname", "../secret.txt", "/../secret.txt"])
def test_a_statement_reads_nothing_outside_its_folder(folder: Path, path: str) -> None:
    (folder / "mine").mkdir()
    (folder / "secret.txt").write_text("secret")
    (folder / "mine/statement.typ").write_text(f'#read("{path}")')
    with pytest.raises(RenderError, match=r"^statement.typ line 1: "):
        Documents(Templates(folder / "mine")).render_statement(statement())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """Return the requests that this process sends to the network: all go to a proxy, which only records them."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            with suppress(OSError):
                while True:
                    caller, _ = server.accept()
                    with caller:
                        heard.append(caller.recv(1000))

        threading.Thread(target=listen, daemon=True).start()
        for variable in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{server.getsockname()[1]}")
        yield heard
        server.shutdown(socket.SHUT_RDWR)


def test_the_proxy_sees_a_download_that_typst_itself_starts(asked: list[bytes]) -> None:
    with pytest.raises(typst.TypstError, match="failed to download"):
        typst.Compiler(b'#import "@preview/example:0.1.0": *').compile()
    assert asked[0].startswith(b"CONNECT packages.typst.org:443")


@pytest.mark.parametrize("template", ["statement.typ", "dispute_summary.typ", "overlay.typ"])
def test_no_template_makes_typst_download_anything(folder: Path, asked: list[bytes], template: str) -> None:
    (folder / template).write_text('// Ours\n#import "@preview/example:0.1.0": *')
    with pytest.raises(
        RenderError, match=rf"^{template} line 2: imports @preview/example:0.1.0: packages are not"
    ) as no:
        Typesetter(Templates(folder)).pdf(template, {}, issued_at=datetime(2026, 10, 1, tzinfo=UTC))
    assert "Copy the package's files beside it" in no.value.hint
    assert asked == []


@pytest.mark.parametrize("name", ["part.typ", "/parts/part.typ", "parts/../parts/part.typ"])
def test_a_file_that_a_template_imports_downloads_nothing_either(folder: Path, asked: list[bytes], name: str) -> None:
    (folder / "parts").mkdir()
    (folder / "statement.typ").write_text(f'#import "{name}": *')
    for part in (folder / "part.typ", folder / "parts/part.typ"):
        part.write_text('#import "@preview/example:0.1.0": *\n#import "/statement.typ"')
    with pytest.raises(RenderError, match=r"^part.typ line 1: imports @preview"):
        Documents(Templates(folder)).render_statement(statement())
    assert asked == []


def test_a_package_in_a_comment_is_no_import(folder: Path, asked: list[bytes]) -> None:
    (folder / "statement.typ").write_text('// #import "@preview/example:0.1.0": *\n"no.typ" "../above.typ"')
    Documents(Templates(folder)).render_statement(statement())
    assert asked == []


# -- the statement's texts ----------------------------------------------------------------------------------------


def shape(texts: object) -> object:
    return {name: shape(text) for name, text in texts.items()} if isinstance(texts, dict) else None


def places(text: object) -> object:
    if isinstance(text, dict):
        return {name: places(each) for name, each in text.items()}
    return sorted(re.findall(r"\{\w+\}", str(text)))


def built_in_texts() -> dict[str, object]:
    texts: dict[str, object] = json.loads((built_in() / "statement_texts.json").read_text())
    return texts


def test_every_language_has_every_text_and_the_same_places_in_it() -> None:
    texts = built_in_texts()
    assert set(texts) == set(Language)
    for language in Language:
        assert shape(texts[language]) == shape(texts["en"])
        assert places(texts[language]) == places(texts["en"])


def flat(texts: object) -> list[str]:
    return [text for each in texts.values() for text in flat(each)] if isinstance(texts, dict) else [str(texts)]


def test_no_text_is_empty_and_nearly_none_is_left_in_english() -> None:
    english = flat(built_in_texts()["en"])
    for language in set(Language) - {Language.ENGLISH}:
        translated = flat(built_in_texts()[language])
        assert all(translated)
        assert sum(one == other for one, other in zip(english, translated, strict=True)) <= 1


def test_every_verdict_and_every_reason_has_words_in_every_language() -> None:
    for language in built_in_texts().values():
        assert isinstance(language, dict)
        assert set(language["verdicts"]) == set(Verdict)
        assert set(language["reasons"]) == set(Reason)


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("de", ["Verbrauchsnachweis", "Übereinstimmend", "Beide sind in jedem Zeitraum gleich.", "Seite 1 von 1"]),
        ("fr", ["Relevé de consommation", "Concordant", "Les deux sont égales pour chaque période.", "Page 1 sur 1"]),
        ("es", ["Informe de consumo", "Coincidente", "Ambos son iguales en cada período.", "Página 1 de 1"]),
    ],
)
def test_the_statement_is_in_the_vendors_language(documents: Documents, language: str, said: list[str]) -> None:
    view = replace(statement(), letterhead=Letterhead(language=Language(language)))
    (page,) = pages(documents.render_statement(view))
    for words in said:
        assert dense(words) in dense(page)


def test_a_user_may_change_single_texts(folder: Path) -> None:
    (folder / "statement_texts.json").write_text('{"en": {"title": "Usage report", "reasons": {"EXACT": "The same."}}}')
    (page,) = pages(Documents(Templates(folder)).render_statement(statement()))
    assert "Usage report" in page
    assert "The same." in page
    assert "Proof root" in page


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        ("{\n", "line 2: is not JSON"),
        ("[]", "is not an object of languages"),
        ('{"it": {}}', "no such language: it"),
        ('{"en": {"titel": "x"}}', r"no such text: en\.titel"),
        ('{"en": {"verdicts": {"matched": {"nam": "x"}}}}', r"no such text: en\.verdicts\.matched\.nam"),
        ('{"en": {"title": 7}}', r"en\.title is not a text"),
        ('{"en": {"reasons": "x"}}', r"en\.reasons is not an object"),
        ('{"en": []}', "en is not an object"),
    ],
)
def test_wrong_texts_are_an_error_that_names_the_file_and_the_text(folder: Path, texts: str, problem: str) -> None:
    (folder / "statement_texts.json").write_text(texts)
    with pytest.raises(RenderError, match=rf"^statement_texts.json:? {problem}"):
        Documents(Templates(folder)).render_statement(statement())
