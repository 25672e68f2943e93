"""Changing the rules in the browser: edited or uploaded, checked, tried, proposed, and a second person's yes."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from careline.domain.rulebook import queries
from careline.domain.rulebook.models import Proposal
from tests.doors.test_access import Browser
from tests.doors.test_money import words
from tests.operations.test_rulebook import DEFAULT, limits
from tests.people import Desk, default_rulebook, key, open_account

HERE = "/rulebook/changes"


@pytest.fixture
def sam(house):
    return Browser(house["sam"])


@pytest.fixture
def ada(house):
    return Browser(house["ada"])


def begun(browser) -> str:
    answer = browser.post(HERE, title="Smaller credits")
    assert answer.status_code == 303
    return answer["Location"]


def edited(browser, text: str | None = None) -> str:
    address = begun(browser)
    assert browser.post(address, code="rulebook.draft", file="limits.toml", text=(text or limits()).replace("\n", "\r\n")).status_code == 303
    return address


def archive(files: dict[str, str], around: str = "") -> SimpleUploadedFile:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as z:
        for name, text in files.items():
            z.writestr(around + name, text)
    return SimpleUploadedFile("rulebook.zip", made.getvalue())


def test_sam_edits_a_limit_sees_whom_it_would_have_met_and_ada_says_yes(house, sam, ada):
    desk = Desk(house["ana"], timezone.now() - timedelta(days=3)).take_call(account := open_account())
    desk.must("credits.grant", account=account.pk, amount=2000, reason="goodwill")
    address = edited(sam)
    page = words(sam.get(address))
    assert "Checked: the files, the limits and the laws" in page
    assert "limits.toml Credit: event, associate $25.00 $15.00" in page and "-associate = 2500 +associate = 1500" in page
    assert sam.post(address, code="rulebook.propose", words="Too much is given away").status_code == 303
    assert "A supervisor or an administrator who did not propose it says yes or no" in words(sam.get(address)) and "it is not yours to answer" in words(sam.get(address))
    page = words(ada.get(address))
    assert "it is not yours" not in page and "1 × grant a credit would have needed an expert" in page and "“Your limit leaves $15.00 for this event.”" in page and "Ana Silva $20.00" in page
    assert account.reference not in page and account.reference in words(sam.get(address)), "an administrator sees no customer, not even a reference"
    assert "Your answer" in page and "Your answer" not in words(sam.get(address)), "nobody answers their own"
    assert ada.post(address, code="rulebook.second", decision="yes").status_code == 303
    queries.forget()
    assert queries.current().limits["credit"]["event"]["associate"] == 1500
    assert "Smaller credits" in words(sam.get("/rulebook?part=history"))


def test_a_lead_who_may_not_say_yes_is_told_who_may(house, sam):
    address = edited(sam)
    answer = Browser(house["lena"]).get(address)
    said = words(answer)
    assert answer.status_code == 403 and "Your role does not open this: a supervisor or an administrator may. Ask a supervisor or an administrator" in said
    assert "your lead" not in said


def test_what_is_wrong_with_a_change_is_said_and_it_cannot_be_proposed(sam):
    address = edited(sam, limits(25000))
    page = words(sam.get(address))
    assert "It cannot be used like this" in page and "expert has 7500, less than associate with 25000" in page and "Propose it" not in page
    assert sam.post(address, code="rulebook.propose", words="Anyway").status_code == 422
    assert sam.post(address, code="rulebook.draft", file="limits.toml", text="[credit").status_code == 303
    assert "limits.toml: " in words(sam.get(address))
    assert sam.post(address, code="rulebook.draft", file="authority.cedar", text="permit(nonsense").status_code == 303
    assert "authority.cedar" in words(sam.get(address))


def test_a_whole_rulebook_is_uploaded_as_an_archive_with_or_without_a_folder_around(sam):
    for around in ("", "my-rules/"):
        address = begun(sam)
        sent = sam.post(address, code="rulebook.draft", upload=archive({**DEFAULT, "limits.toml": limits()}, around))
        assert sent.status_code == 303
        assert set(Proposal.objects.latest("pk").change_data) == {"limits.toml"}, "what is the same is no change"


def test_single_files_are_uploaded_too(sam):
    address = begun(sam)
    sam.post(address, code="rulebook.draft", upload=SimpleUploadedFile("limits.toml", ("\ufeff" + limits()).encode()))
    assert "$15.00" in words(sam.get(address))


@pytest.mark.parametrize(
    ("upload", "says"),
    [
        (lambda: SimpleUploadedFile("limits.toml", b"\xff\xfe\x00"), "no text in UTF-8"),
        (lambda: SimpleUploadedFile("rules.zip", b"PK nothing"), "no zip archive"),
        (lambda: SimpleUploadedFile("limits.exe", b"x"), "no file of a rulebook"),
        (lambda: archive({"../../etc/passwd.toml": "x = 1"}), "no file of a rulebook"),
        (lambda: archive({"photo.jpg": "x"}), "holds no file of a rulebook"),
        (lambda: archive({"big.toml": "x" * 7_000_000}), "holds more than"),
        (lambda: archive({f"{n}.toml": "x = 1" for n in range(500)}), "holds more than"),
        (lambda: SimpleUploadedFile("big.toml", b"x" * 2_100_000), "larger than"),
    ],
)  # fmt: skip
def test_a_poisoned_upload_is_refused_in_plain_words(sam, upload, says):
    address = begun(sam)
    answer = sam.post(address, code="rulebook.draft", upload=upload())
    assert answer.status_code == 422 and says in words(answer)
    assert Proposal.objects.get().change_data == {}


def test_a_no_a_withdrawal_and_a_day_to_come(sam, ada):
    address = edited(sam)
    day = (timezone.now() + timedelta(days=5)).strftime("%Y-%m-%dT%H:%M")
    assert sam.post(address, code="rulebook.propose", words="In December", from_at="soon").status_code == 422
    assert sam.post(address, code="rulebook.propose", words="In December", from_at=day).status_code == 303
    assert ada.post(address, code="rulebook.second", decision="no").status_code == 422
    assert ada.post(address, code="rulebook.second", decision="yes", answer="Good").status_code == 303
    page = words(ada.get(address))
    assert "waits for its day" in page and "Call it off" in page
    queries.forget()
    assert queries.current().limits["credit"]["event"]["associate"] == 2500
    assert "to come" in words(sam.get("/rulebook?part=history"))
    assert ada.post(address, code="rulebook.withdraw").status_code == 303
    assert "called off" in words(sam.get(HERE)) and "to come" not in words(sam.get("/rulebook?part=history"))


def test_the_same_click_twice_is_one_change(sam):
    once = {"title": "Once", "request_key": key()}
    assert sam.http.post(HERE, once)["Location"] == sam.http.post(HERE, once)["Location"]
    assert Proposal.objects.count() == 1


def test_what_is_not_there_and_what_is_no_move(sam):
    assert sam.get(HERE + "/999").status_code == 404 and sam.post(HERE, title=" ").status_code == 422
    address = begun(sam)
    assert sam.post(address, code="staff.add").status_code == 422 and sam.post(address, code="rulebook.draft").status_code == 422
    assert sam.get(address + "?file=limits.toml").status_code == 200 and re.search("Take the file away", sam.get(address + "?file=limits.toml").content.decode())
    assert default_rulebook().digest == queries.current().digest


def test_a_change_that_waits_for_a_yes_stands_on_the_first_page_of_whoever_may_say_it(house, sam, ada):
    address = edited(sam)
    assert sam.post(address, code="rulebook.propose", words="Too much is given away").status_code == 303
    said = "Say yes or no to a change of the rules: Smaller credits"
    assert said in words(ada.get("/people")) and said not in words(sam.get("/")) and said not in words(Browser(house["lena"]).get("/"))
