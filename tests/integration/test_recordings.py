"""The recorded conversations still hold: the same requests, the same results, and no network."""

import re
from pathlib import Path

import pytest
from vcr.errors import CannotOverwriteExistingCassetteException

from pacspace_stripe.pacspace_api import PacSpace
from tests.support.recordings import (
    CASSETTES,
    SIMULATOR,
    TEST_MODE,
    PacSpaceWorld,
    cassette,
    connected,
    record,
    replay_pacspace,
    replay_stripe,
    served_pacspace,
    served_stripe,
    talk_to_pacspace,
)

RECORDED = [folder for folder in (CASSETTES / SIMULATOR, CASSETTES / TEST_MODE) if folder.is_dir()]
SECRETS = re.compile(
    rb"(?:sk|rk|pk)_(?:test|live)_|whsec_|Bearer|authorization|x-api-key|user-agent|127\.0\.0\.1", re.IGNORECASE
)


@pytest.mark.parametrize("folder", RECORDED, ids=lambda folder: folder.name)
def test_the_recorded_conversation_with_stripe_still_holds(folder: Path) -> None:
    if (folder / "stripe.yaml").exists():
        assert replay_stripe(folder).all_played


@pytest.mark.parametrize("folder", RECORDED, ids=lambda folder: folder.name)
def test_the_recorded_conversation_with_pacspace_still_holds(folder: Path) -> None:
    if (folder / "pacspace.yaml").exists():
        assert replay_pacspace(folder).all_played


def test_there_are_recordings_of_both_simulators() -> None:
    assert {path.name for path in (CASSETTES / SIMULATOR).glob("*.yaml")} == {"stripe.yaml", "pacspace.yaml"}


def test_no_recording_holds_a_secret_or_an_address() -> None:
    for path in CASSETTES.rglob("*.*"):
        if path.suffix != ".md":
            assert SECRETS.search(path.read_bytes()) is None, path


def test_a_recording_does_not_answer_another_request() -> None:
    folder = CASSETTES / SIMULATOR
    world = PacSpaceWorld.read(folder / "pacspace.world.json")
    with connected() as way, cassette(folder / "pacspace.yaml", record=False):
        api = PacSpace("pk_test_replayed", base_url="https://pacspace.recorded", transport=way).reconciliation
        with pytest.raises(CannotOverwriteExistingCassetteException):
            talk_to_pacspace(api, "somebody-else", world.window, lambda _: None)


def test_a_new_recording_can_be_replayed(tmp_path: Path) -> None:
    assert record(tmp_path, {}) == [tmp_path / SIMULATOR] * 2
    assert replay_stripe(tmp_path / SIMULATOR).all_played
    assert replay_pacspace(tmp_path / SIMULATOR).all_played


def test_a_test_mode_is_recorded_when_its_keys_and_addresses_are_set(tmp_path: Path) -> None:
    with served_stripe() as (stripe_url, stripe_key), served_pacspace() as (pacspace_url, pacspace_key, _):
        environment = {
            "STRIPE_API_KEY": stripe_key,
            "STRIPE_API_BASE_URL": stripe_url,
            "PACSPACE_API_KEY": pacspace_key,
            "PACSPACE_API_BASE_URL": pacspace_url,
        }
        assert record(tmp_path, environment) == [tmp_path / TEST_MODE] * 2
    assert replay_stripe(tmp_path / TEST_MODE).all_played
    assert replay_pacspace(tmp_path / TEST_MODE).all_played


@pytest.mark.parametrize(
    "environment", [{"STRIPE_API_KEY": "sk_live_1"}, {"PACSPACE_API_KEY": "pk_live_1.x"}, {"PACSPACE_API_KEY": "x"}]
)
def test_nothing_is_recorded_in_live_mode(environment: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="test mode only"):
        record(tmp_path, environment)
    assert list(tmp_path.iterdir()) == []
