"""``onboard`` as a process, with a person at a terminal and without one; existing lines and keys are kept."""

import re
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.documents import part
from tests.support.office import (
    ADDRESS,
    EMAIL,
    HOOK,
    KEY,
    MFA_CODE,
    PASSWORD,
    STRIPE_KEY,
    WHO,
    Office,
    complaint,
    office,
)


@pytest.fixture
def jane(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path) as made:
        yield made


# -- with a person ------------------------------------------------------------------------------------------------


def test_a_person_is_led_from_nothing_to_a_key(jane: Office) -> None:
    with jane.at_terminal() as terminal:
        terminal.answers("Your email address at PacSpace: ", EMAIL)
        terminal.answers("have an account at PacSpace already? [y/N]: ", "n")
        terminal.answers("Your name: ", "Jane Doe")
        terminal.answers("Your organization: ", "Acme Inc")
        terminal.answers("What for [Record usage before invoices go out.]: ", "")
        terminal.until("Requested access for jane@example.com.")
        terminal.until("is requested, and not approved yet")
        assert terminal.end() == 1
    with jane.at_terminal() as terminal:
        terminal.types_unseen("Approval token, or the link in PacSpace's mail (Enter: none): ", "")
        terminal.answers("have an account at PacSpace by now? [y/N]: ", "n")
        terminal.until("Run the same command again when PacSpace's mail has come")
        assert terminal.end() == 1
    assert jane.made("auth/request-access") == 1
    link = f"https://app.pacspace.io/register?token={jane.approved()}"
    with jane.at_terminal() as terminal:
        terminal.types_unseen("Approval token, or the link in PacSpace's mail (Enter: none): ", link)
        terminal.types_unseen("A password for jane@example.com at PacSpace: ", PASSWORD)
        terminal.types_unseen("Repeat for confirmation: ", PASSWORD)
        terminal.until("Registered jane@example.com.")
        terminal.until("Logged in as jane@example.com.")
        terminal.until("Created pk_test_")
        terminal.types_unseen("Stripe's API key, sk_… or rk_… (Enter: later): ", "hunter2")
        terminal.until("It must be a Stripe key")
        terminal.types_unseen("Stripe's API key, sk_… or rk_… (Enter: later): ", "sk_live_hunter2")
        terminal.until("both must be of the same mode")
        terminal.types_unseen("Stripe's API key, sk_… or rk_… (Enter: later): ", STRIPE_KEY)
        terminal.types_unseen("whsec_… (Enter: later): ", "")
        terminal.until("Still empty in .env, each below a line that says what it is: STRIPE_WEBHOOK_SECRET.")
        assert terminal.end() == 0
    unfinished = jane.settings()
    assert unfinished.returncode == 2
    assert "STRIPE_WEBHOOK_SECRET: is set, but empty" in unfinished.stderr
    with jane.at_terminal() as terminal:
        terminal.types_unseen("Password of jane@example.com at PacSpace: ", PASSWORD)
        terminal.until("already: kept")
        terminal.types_unseen("whsec_… (Enter: later): ", HOOK)
        assert terminal.end() == 0
    assert jane.settings().returncode == 0
    assert jane.values["STRIPE_WEBHOOK_SECRET"] == HOOK
    assert jane.made("api-keys") == 1
    assert "hunter2" not in "".join(jane.said) + jane.env_file.read_text()


def test_the_readme_leads_to_settings_that_load(jane: Office) -> None:
    found = re.fullmatch(r"```sh\n(.*?)\n\n(.*?)```\n", part("onboarding"), re.DOTALL)
    assert found
    first, second = (shlex.split(line, comments=True) for line in found[1].splitlines())
    assert (first[:2], second) == (["pacspace-stripe", "onboard"], ["pacspace-stripe", "onboard"])
    with jane.at_terminal(*first[2:]) as terminal:
        terminal.answers("Does you@example.com have an account at PacSpace already? [y/N]: ", "n")
        for question, answer in (("Your name: ", "Jane Doe"), ("Your organization: ", "Acme Inc"), ("What for ", "")):
            terminal.answers(question, answer)
        assert terminal.end() == 1
    with jane.at_terminal(*second[2:]) as terminal:
        terminal.types_unseen("(Enter: none): ", jane.approved("you@example.com"))
        terminal.types_unseen("A password for you@example.com at PacSpace: ", PASSWORD)
        terminal.types_unseen("Repeat for confirmation: ", PASSWORD)
        terminal.types_unseen("sk_… or rk_… (Enter: later): ", STRIPE_KEY)
        terminal.types_unseen("whsec_… (Enter: later): ", HOOK)
        assert terminal.end() == 0
    done = jane.shell(found[2])
    assert done.returncode == 0, done.stderr
    assert "PACSPACE_API_KEY=pk_test_…" in done.stdout


def test_a_code_is_asked_for_and_a_wrong_one_is_an_error(jane: Office) -> None:
    jane.has_account()
    jane.pacspace.configure(mfa=True)
    with jane.at_terminal("--email", EMAIL) as terminal:
        terminal.answers("have an account at PacSpace already? [y/N]: ", "y")
        terminal.types_unseen("Password of jane@example.com at PacSpace: ", PASSWORD)
        terminal.types_unseen("Code of your authenticator: ", "000000")
        terminal.until("HTTP 401, INVALID_MFA_CODE, Invalid verification code")
        terminal.until("Run it again, with the code that your authenticator shows then.")
        assert terminal.end() == 1
    with jane.at_terminal("--email", EMAIL, password=PASSWORD) as terminal:
        terminal.types_unseen("Code of your authenticator: ", MFA_CODE)
        terminal.types_unseen("sk_… or rk_… (Enter: later): ", "")
        terminal.types_unseen("whsec_… (Enter: later): ", "")
        assert terminal.end() == 0
    assert jane.values[KEY].startswith("pk_test_")


def test_an_environment_is_provisioned_when_a_person_agrees(jane: Office) -> None:
    jane.has_account()
    jane.pacspace.configure(environment_ready=False, activation_delay=0.2)
    with jane.at_terminal("--email", EMAIL, password=PASSWORD, key=STRIPE_KEY, hook=HOOK) as terminal:
        terminal.answers("The sandbox environment is not there: none. Have it made? [y/N]: ", "y")
        terminal.until("The sandbox environment is active.")
        assert terminal.end() == 0
    assert jane.settings().returncode == 0


# -- without one --------------------------------------------------------------------------------------------------


def test_a_script_needs_no_person(jane: Office) -> None:
    asked = jane.run(*WHO)
    assert asked.returncode == 1
    assert complaint(asked)[0] == "PacSpace: access for jane@example.com is requested, and not approved yet"
    again = jane.run()
    assert (again.returncode, again.stdout) == (1, "")
    token = jane.approved()
    secrets = {"PACSPACE_DASHBOARD_APPROVAL_TOKEN": token, "PACSPACE_DASHBOARD_PASSWORD": PASSWORD}
    secrets |= {"STRIPE_API_KEY": STRIPE_KEY, "STRIPE_WEBHOOK_SECRET": HOOK}
    lines = "".join(f"{name}={value}\n" for name, value in secrets.items())
    done = jane.run("--secrets-stdin", stdin=lines)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("Next: set -a; . ./.env; set +a; pacspace-stripe settings")
    assert jane.settings().returncode == 0
    assert jane.values[ADDRESS] == jane.served.url
    usage = httpx.get(f"{jane.values[ADDRESS]}/api/v1/balance/usage", headers={"X-Api-Key": jane.values[KEY]})
    assert usage.status_code == 200
    assert jane.made("auth/request-access") == 1


@pytest.mark.parametrize(
    ("arguments", "secrets", "missing"),
    [
        ((), {}, "Your name: name it with --name"),
        (("--name", "Jane"), {}, "Your organization: name it with --organization"),
        (WHO, {"token": "approve_1"}, "set PACSPACE_DASHBOARD_PASSWORD, or pass it with --secrets-stdin"),
        (("--password", "x"), {}, "No such option"),
        (("--wait", "soon"), {}, "is not a duration"),
        (("--environment", "moon"), {}, "'moon' is not one of"),
    ],
)
def test_a_missing_or_wrong_answer_is_named(
    jane: Office, arguments: tuple[str, ...], secrets: dict[str, str], missing: str
) -> None:
    done = jane.run(*arguments, **secrets)
    assert done.returncode == 2
    assert missing in done.stderr
    assert jane.pacspace.log == []


def test_a_secret_may_contain_a_line_separator_of_unicode(jane: Office) -> None:
    lines = "STRIPE_API_KEY=hunter\u2028two\r\nPACSPACE_DASHBOARD_PASSWORD=x\x0by\r\n"
    done = jane.run(*WHO, "--secrets-stdin", stdin=lines)
    assert done.stderr.startswith("pacspace-stripe: STRIPE_API_KEY: must be a Stripe key")


def test_an_address_cannot_steer_the_terminal(jane: Office) -> None:
    asked = jane.run(*WHO, "--email", "jane\x1b[2J@example.com")
    assert asked.returncode == 2
    assert "\x1b" not in asked.stdout + asked.stderr


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("PACSPACE_DASHBOARD_PASSWORT=x\n", "line 1 of standard input is not NAME=value with one of: "),
        ("\ncorrect horse battery\n", "line 2 of standard input is not NAME=value with one of: "),
    ],
)
def test_standard_input_is_read_strictly_and_not_repeated(jane: Office, lines: str, said: str) -> None:
    done = jane.run(*WHO, "--secrets-stdin", stdin=lines)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("key", "hunter2", "STRIPE_API_KEY: must be a Stripe key"),
        ("key", "sk_live_hunter2", "STRIPE_API_KEY: is a live key and PacSpace's is a test key"),
        ("hook", "hunter2", "STRIPE_WEBHOOK_SECRET: must be one or more signing secrets"),
    ],
)
def test_a_wrong_stripe_secret_stops_it_before_anything_is_sent(
    jane: Office, name: str, value: str, problem: str
) -> None:
    done = jane.run(password=PASSWORD, **{name: value})
    assert done.returncode == 2
    assert problem in done.stderr
    assert "hunter2" not in done.stderr
    assert jane.pacspace.log == []


# -- what is there is kept ----------------------------------------------------------------------------------------

THEIRS = "# ours\nDATABASE=postgres\nexport PACSPACE_API_KEY='{key}'\nSTRIPE_API_KEY=sk_test_onboarding\n"


def test_an_existing_file_keeps_its_lines_and_its_key(jane: Office) -> None:
    jane.has_account()
    jane.env_file.write_text(THEIRS.format(key="pk_test_theirs.verysecret"))
    jane.secrets.add("verysecret")
    done = jane.run(password=PASSWORD)
    assert done.returncode == 0
    assert "has pk_test_theirs.… for PACSPACE_API_KEY already: kept" in done.stdout
    assert jane.env_file.read_text().startswith(THEIRS.format(key="pk_test_theirs.verysecret"))
    assert jane.made("api-keys") == 1  # the one of has_account
    replaced = jane.run("--replace", password=PASSWORD)
    assert replaced.returncode == 0
    new = jane.values[KEY]
    assert new != "pk_test_theirs.verysecret"
    assert jane.env_file.read_text().startswith(THEIRS.replace("'{key}'", new))


def test_a_key_is_printed_once_and_only_with_show_key(jane: Office) -> None:
    jane.has_account()
    done = jane.run("--show-key", password=PASSWORD)
    assert done.stdout.count(jane.values[KEY]) == 1
    jane.said.remove(done.stdout)
    again = jane.run("--show-key", password=PASSWORD)
    assert again.returncode == 0
    assert jane.values[KEY] not in again.stdout


def test_a_link_to_a_file_elsewhere_stays_one(jane: Office, tmp_path_factory: pytest.TempPathFactory) -> None:
    jane.has_account()
    target = tmp_path_factory.mktemp("elsewhere") / "shared.env"
    target.write_text("MINE=1\n")
    jane.env_file.symlink_to(target)
    assert jane.run(password=PASSWORD).returncode == 0
    assert jane.env_file.is_symlink()
    assert target.read_text().startswith("MINE=1\n")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_no_key_is_made_that_could_not_be_kept(jane: Office) -> None:
    jane.has_account()
    before = jane.made("api-keys")
    done = jane.run("--env-file", "missing/.env", password=PASSWORD)
    assert done.returncode == 1
    assert "No such file or directory" in done.stderr
    assert jane.made("api-keys") == before
