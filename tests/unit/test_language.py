"""The rules of names and language that a machine can hold the code to."""

import re
from functools import cache

from tests.support.measure import PRODUCT, ROOT, Module, badly_opened, double_classes, modules

NOUNS_IN_ING = {"billing", "finding", "parsing", "settling", "timing", "typesetting"}
"""Nouns of the field that look like participles."""
SAYS_NOTHING = {"base", "common", "helpers", "manager", "misc", "util", "utils"}
GLOSSARY = ROOT / "pacspace_stripe" / "README.md"


@cache
def product() -> list[Module]:
    """Return every module of the product, parsed once for all tests of this file."""
    return modules(*PRODUCT)


def test_no_docstring_opens_with_a_word_that_hides_its_subject() -> None:
    assert badly_opened([*product(), *modules("tests")]) == []


def test_a_class_name_exists_once() -> None:
    assert double_classes(product()) == []


def test_a_module_is_named_by_a_noun() -> None:
    participle = re.compile(r"[a-z]+(ing|ed)")
    names = {str(module.path): module.path.stem for module in product()}
    assert [path for path, name in names.items() if name in SAYS_NOTHING] == []
    assert [path for path, name in names.items() if participle.fullmatch(name) and name not in NOUNS_IN_ING] == []


def _glossary() -> list[tuple[str, str]]:
    """Return the words that the glossary replaces, each with the word to use."""
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| ([^|]+) \|$", GLOSSARY.read_text(), re.MULTILINE)
    return [
        (avoided.strip(), word) for word, instead_of in rows[2:] for avoided in instead_of.split(",") if avoided.strip()
    ]


def test_the_code_obeys_the_glossary() -> None:
    """Search names, docstrings, comments and messages for each word that the glossary replaces."""
    glossary = _glossary()
    found = [
        f"{module.path}: {avoided!r}, the word is {word!r}"
        for module in product()
        for avoided, word in glossary
        if re.search(rf"\b{re.escape(avoided)}\b", module.text, re.IGNORECASE)
    ]
    assert glossary
    assert found == []
