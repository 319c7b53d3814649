"""The statement's own texts, one table for all languages; a user's file of the same name changes single ones."""

import json
from pathlib import Path
from typing import TypeAlias

from pacspace_stripe.documents.failures import failure
from pacspace_stripe.documents.rules.letterhead import Language
from pacspace_stripe.documents.templates import Templates, built_in

STATEMENT_TEXTS = "statement_texts.json"

Texts: TypeAlias = "dict[str, str | Texts]"


def texts_of(templates: Templates, language: Language) -> Texts:
    """Every text in ``language``: ours, with the user's in their places.

    RenderError names the file and what is wrong with it: no JSON, a text that we do not have, or something else than
    a text.
    """
    ours = _read(built_in() / STATEMENT_TEXTS)[language]
    assert isinstance(ours, dict)  # noqa: S101  # our own file, under test
    path = templates.path(STATEMENT_TEXTS)
    theirs = _read(path)
    for name in theirs:
        if name not in set(Language):
            raise failure(path, None, f"no such language: {name}")
    return _merged(ours, theirs.get(language, {}), path, language)


def _read(path: Path) -> Texts:
    try:
        texts: Texts = json.loads(path.read_bytes())
    except ValueError as error:
        raise failure(path, getattr(error, "lineno", None), f"is not JSON: {error}") from error
    if not isinstance(texts, dict):
        raise failure(path, None, "is not an object of languages")
    return texts


def _merged(ours: "Texts", theirs: object, path: Path, where: str) -> Texts:
    if not isinstance(theirs, dict):
        raise failure(path, None, f"{where} is not an object")
    for name in theirs:
        if name not in ours:
            raise failure(path, None, f"no such text: {where}.{name}")
    return {name: _chosen(text, theirs.get(name, text), path, f"{where}.{name}") for name, text in ours.items()}


def _chosen(ours: "str | Texts", theirs: object, path: Path, where: str) -> "str | Texts":
    if isinstance(ours, dict):
        return _merged(ours, theirs, path, where)
    if not isinstance(theirs, str):
        raise failure(path, None, f"{where} is not a text")
    return theirs
