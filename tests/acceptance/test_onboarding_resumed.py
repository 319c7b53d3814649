"""``onboard`` continues after a kill, and reports refusals and wrong answers in one line."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from pacspace_stripe.cli.processes import free_port
from pacspace_stripe.simulator.serve import serve
from tests.support.office import EMAIL, HOOK, KEY, PASSWORD, STRIPE_KEY, WHO, Office, complaint, office


@pytest.fixture
def jane(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path) as made:
        yield made


# -- killed, and run again ----------------------------------------------------------------------------------------


def test_killed_after_the_request_it_requests_again_and_continues(jane: Office) -> None:
    jane.line.holding = "auth/request-access"
    with jane.at_terminal("--email", EMAIL, *WHO, "--request-access") as terminal:
        terminal.answers("What for [", "")
        jane.until_held()
        terminal.kill()
    assert not jane.env_file.exists()
    assert jane.run(*WHO).returncode == 1
    assert jane.run().returncode == 1
    assert jane.made("auth/request-access") == 2


def test_killed_at_a_prompt_it_asks_again(jane: Office) -> None:
    assert jane.run(*WHO).returncode == 1
    token = jane.approved()
    with jane.at_terminal() as terminal:
        terminal.types_unseen("(Enter: none): ", token)
        terminal.until("A password for jane@example.com at PacSpace: ")
        terminal.kill()
    with jane.at_terminal() as terminal:
        terminal.types_unseen("(Enter: none): ", token)
        terminal.types_unseen("A password for jane@example.com at PacSpace: ", PASSWORD)
        terminal.types_unseen("Repeat for confirmation: ", PASSWORD)
        terminal.until("sk_… or rk_… (Enter: later): ")
        terminal.kill()
    kept = jane.values[KEY]
    with jane.at_terminal(password=PASSWORD) as terminal:
        terminal.until("already: kept")
        terminal.types_unseen("sk_… or rk_… (Enter: later): ", STRIPE_KEY)
        terminal.types_unseen("whsec_… (Enter: later): ", HOOK)
        assert terminal.end() == 0
    assert jane.values[KEY] == kept
    assert jane.settings().returncode == 0
    assert [jane.made(f"auth/{name}") for name in ("request-access", "register")] == [1, 1]


def test_killed_after_it_registered_it_logs_in(jane: Office) -> None:
    assert jane.run(*WHO).returncode == 1
    jane.line.holding, token = "auth/register", jane.approved()
    with jane.at_terminal(token=token, password=PASSWORD) as terminal:
        jane.until_held()
        terminal.kill()
    done = jane.run(token=token, password=PASSWORD)
    assert done.returncode == 0
    assert "jane@example.com has an account already." in done.stdout


def test_killed_after_it_logged_in_it_logs_in_again(jane: Office) -> None:
    jane.has_account()
    jane.pacspace.configure(mfa=True)
    with jane.at_terminal("--email", EMAIL, password=PASSWORD) as terminal:
        terminal.until("Code of your authenticator: ")
        terminal.kill()
    jane.pacspace.configure(mfa=False)
    assert jane.run(password=PASSWORD).returncode == 0


def test_killed_while_a_key_is_made_it_makes_another_and_says_so(jane: Office) -> None:
    jane.has_account()
    jane.line.holding = "api-keys"
    with jane.at_terminal("--email", EMAIL, password=PASSWORD) as terminal:
        jane.until_held()
        terminal.kill()
    assert jane.values[KEY] == ""
    [orphan] = jane.keys()
    done = jane.run(password=PASSWORD)
    assert done.returncode == 0
    assert f"PacSpace has a key named pacspace-stripe already ({orphan}): delete it there" in done.stdout
    assert len(jane.keys()) == 2
    assert jane.values[KEY].startswith("pk_test_")


def test_killed_while_it_waits_for_the_environment_it_keeps_the_key_and_waits_again(jane: Office) -> None:
    jane.has_account()
    jane.pacspace.configure(environment_ready=False, activation_delay=3600)
    with jane.at_terminal("--email", EMAIL, "--provision", password=PASSWORD) as terminal:
        terminal.until("The sandbox environment is activating: waiting ...")
        terminal.kill()
    kept = jane.values[KEY]
    impatient = jane.run("--wait", "0", password=PASSWORD)
    assert impatient.returncode == 1
    assert complaint(impatient) == (
        "PacSpace: the sandbox environment is not active yet: activating",
        "Run the same command again: it goes on from here.",
    )
    jane.pacspace.configure(environment_ready=True)
    assert jane.run(password=PASSWORD).returncode == 0
    assert jane.values[KEY] == kept


# -- refused and misled -------------------------------------------------------------------------------------------


def test_a_wrong_password_is_an_error(jane: Office) -> None:
    jane.has_account()
    done = jane.run(password="hunter2")
    assert done.returncode == 1
    said, hint = complaint(done)
    assert said == "PacSpace: POST /dashboard/auth/login: HTTP 401, INVALID_CREDENTIALS, Invalid email or password"
    assert hint.startswith("Check email and password")
    assert not jane.env_file.exists()


def test_a_token_that_pacspace_did_not_send_is_an_error(jane: Office) -> None:
    done = jane.run(*WHO, token="approve_made_up", password=PASSWORD)
    assert done.returncode == 1
    said, hint = complaint(done)
    assert "REGISTRATION_REQUIRES_APPROVAL" in said
    assert hint.startswith("The token is in PacSpace's mail")
    assert "approve_made_up" not in done.stderr


def test_a_missing_environment_is_an_error(jane: Office) -> None:
    jane.has_account()
    jane.pacspace.configure(environment_ready=False)
    done = jane.run(password=PASSWORD)
    assert done.returncode == 1
    assert complaint(done) == (
        "PacSpace: the sandbox environment is not there: none",
        "Run it again with --provision to have it made.",
    )


def test_a_refused_production_key_is_an_error_in_pacspaces_words(jane: Office) -> None:
    jane.has_account()
    done = jane.run("--environment", "production", password=PASSWORD)
    assert done.returncode == 1
    assert "ENVIRONMENT_NOT_PROVISIONED, Simulator: keys are for the sandbox only" in complaint(done)[0]
    assert jane.values[KEY] == ""


def test_a_dashboard_that_does_not_answer_is_an_error(jane: Office) -> None:
    started = time.monotonic()
    done = jane.run(password=PASSWORD, at=f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert complaint(done) == (
        "PacSpace: no connection (ConnectError)",
        "Run the same command again; --dashboard names the address.",
    )
    assert time.monotonic() - started < 30


def test_a_page_for_people_is_an_error(jane: Office) -> None:
    with serve(lambda _: httpx.Response(200, html="<title>Welcome</title>")) as server:
        done = jane.run(password=PASSWORD, at=server.url)
    assert done.returncode == 1
    said, hint = complaint(done)
    assert said == "PacSpace: POST /dashboard/auth/login: the answer is not JSON"
    assert hint.startswith("Check the dashboard's address")


def test_a_key_that_could_not_be_kept_is_named(jane: Office) -> None:
    jane.has_account()
    folder = jane.folder / "deploy"
    folder.mkdir()
    jane.line.holding = "api-keys"
    with jane.at_terminal("--email", EMAIL, "--env-file", "deploy/.env", password=PASSWORD) as terminal:
        jane.until_held()
        shutil.rmtree(folder)
        jane.line.cut.set()
        terminal.until("No such file or directory; the new key (key_")
        terminal.until("is lost: delete it in PacSpace's dashboard")
        assert terminal.end() == 1


@dataclass
class Instead:
    """A dashboard some of whose pages are others."""

    jane: Office
    pages: dict[str, httpx.Response]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        other = self.pages.get(f"{request.method} {request.url.path}")
        return other or self.jane.pacspace(request)


def test_a_key_of_another_kind_is_not_kept(jane: Office) -> None:
    jane.has_account()
    live = httpx.Response(201, json={"data": {"id": "key_1", "fullKey": "pk_live_a.verysecret"}})
    with serve(Instead(jane, {"POST /dashboard/api-keys": live})) as server:
        done = jane.run(password=PASSWORD, at=server.url)
    assert done.returncode == 1
    assert complaint(done) == (
        "PacSpace: a live key was made (key_1), not one of the sandbox environment",
        "It was not kept: delete it in PacSpace's dashboard.",
    )
    assert "verysecret" not in done.stdout + jane.env_file.read_text()


def test_unreadable_lists_do_not_prevent_a_key_and_the_address_is_left_to_a_person(jane: Office) -> None:
    jane.has_account()
    page = httpx.Response(200, html="<title>Environments</title>")
    pages = {f"GET /dashboard/{name}": page for name in ("environments", "api-keys")}
    with serve(Instead(jane, pages)) as server:
        done = jane.run(password=PASSWORD, at=server.url)
    assert done.returncode == 0
    assert (
        "If PacSpace's dashboard shows an address of this environment's API, set PACSPACE_API_BASE_URL" in done.stdout
    )
    assert "PACSPACE_API_BASE_URL" not in jane.values


def test_an_address_that_is_set_stays(jane: Office) -> None:
    jane.has_account()
    jane.env_file.write_text("PACSPACE_API_BASE_URL=https://proxy.example.com\n")
    done = jane.run(password=PASSWORD)
    assert done.returncode == 0
    assert ".env has another PACSPACE_API_BASE_URL: kept." in done.stdout
    assert jane.values["PACSPACE_API_BASE_URL"] == "https://proxy.example.com"


def test_ctrl_c_at_a_prompt_ends_it_without_a_traceback(jane: Office) -> None:
    with jane.at_terminal("--email", EMAIL) as terminal:
        terminal.until("already? [y/N]: ")
        terminal.interrupt()
        assert terminal.end() == 130
    assert "Error" not in terminal.shown


def test_no_input_asks_no_question(jane: Office) -> None:
    with jane.at_terminal("--no-input") as terminal:
        terminal.until("Your email address at PacSpace: name it with --email")
        assert terminal.end() == 2


def test_secrets_are_not_typed_where_they_would_show(jane: Office) -> None:
    with jane.at_terminal("--email", EMAIL, "--secrets-stdin") as terminal:
        terminal.until("--secrets-stdin reads NAME=value lines from a pipe or a file: on a terminal they would show")
        assert terminal.end() == 2


def test_no_password_goes_to_an_address_without_tls(jane: Office) -> None:
    done = jane.run(password=PASSWORD, at="http://dashboard.example.com")
    assert done.returncode == 2
    assert "the dashboard's address must start with https://" in complaint(done)[0]
