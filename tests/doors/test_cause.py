"""Find the cause on the contact page: a walk by forms alone, what it shows, and what it bears."""

from __future__ import annotations

import html
import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from careline.carriers.sandbox import SandboxDevices, SandboxNetwork
from careline.domain.contacts import queries as contacts
from careline.domain.customers.models import AddedData, Customer, Device, Line, Usage
from careline.domain.diagnosis import queries
from careline.domain.diagnosis.models import Answer, Walk
from careline.domain.diagnosis.rules.guide import load_all, numbers
from careline.domain.diagnosis.rules.simulate import Phone
from careline.domain.diagnosis.rules.walk import Walk as Walk_
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox
from careline.domain.ledger import queries as ledger
from careline.doors.web import cause
from careline.foundation.rulebook import Rulebook
from tests import people
from tests.doors.test_access import Browser, begin_a_walk, hold_contact, sit_down, undone
from tests.doors.test_pages import NASTY, Counting, bears, text_of
from tests.people import TUESDAY, Desk, key

BOOK = Rulebook.from_folder(Path(settings.ROOT) / "rulebook" / "default")


@pytest.fixture
def ana(house, maria):
    return sit_down(house["ana"], maria)


def begin(browser, account, guide="no_service", **typed) -> Walk:
    answer = browser.do(browser.contact, "diagnosis.start", account=account.pk, line=account.lines.get().pk, guide=guide, **typed)
    walk = Walk.objects.latest("pk")
    assert answer.status_code == 303 and answer["Location"] == f"{browser.here}?section=cause&walk={walk.pk}", text_of(answer)
    return walk


def form_of(page: str, id_: str = "form-cause-step") -> tuple[str, dict[str, str], list[tuple[str, str, str]]]:
    """What a browser would send: where to, the hidden fields, and each answer on offer as name, value and words."""
    form = re.search(rf'<form[^>]*action="([^"]+)"[^>]*id="{id_}".*?</form>', page, re.S)
    assert form, page[:2000]
    hidden = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form[0]))
    offers = re.findall(r'<button[^>]*name="([^"]+)" value="([^"]+)"[^>]*>.*?<span>(.*?)</span>', form[0], re.S)
    offers += re.findall(r'<input type="radio"[^>]*name="([^"]+)" value="([^"]+)"[^>]*data-answer[^>]*>()', form[0])
    return html.unescape(form[1]), {k: html.unescape(v) for k, v in hidden.items()}, offers


def reply(browser, page: str, phone: Phone) -> str:
    """Answer the step that stands on a page as this phone would; the page after it."""
    action, typed, offers = form_of(page)
    if "remedy" in typed:
        typed["outcome"] = phone.give(typed["remedy"]).outcome
    for name in {name for name, _, _ in offers if name.startswith("said:")}:
        said = phone.answer(name.removeprefix("said:"), int(typed.get("wording", 0))).outcome
        assert (name, said) in {(n, v) for n, v, _ in offers}
        typed[name] = said
    answer = browser.http.post(action, typed)
    assert answer.status_code == 303, text_of(answer)
    return browser.get(answer["Location"]).content.decode()


def walk_to_the_end(browser, walk: Walk, *causes: str) -> str:
    phone = Phone(queries.guides(walk.rulebook)[walk.guide], set(causes))
    page = browser.get(f"{browser.here}?section=cause&walk={walk.pk}").content.decode()
    for _ in range(50):
        if "form-cause-step" not in page:
            return page
        page = reply(browser, page, phone)
    raise AssertionError("the walk never ended")


def flat(page: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


# ---------------------------------------------------------------- works


def test_from_the_customers_words_to_the_guide_the_fix_the_message_and_the_wrap_up(ana, maria):
    section = text_of(ana.get(f"{ana.here}?section=cause"))
    assert "in their words" in section and "Or choose what it is" in section
    proposed = ana.do(ana.contact, "diagnosis.start", account=maria.pk, line=maria.lines.get().pk, words="no bars at all since this morning")
    page = text_of(proposed)
    assert proposed.status_code == 200 and "This sounds like" in page and not Walk.objects.exists()
    assert re.search(r'id="guide-no_service" value="no_service" checked', page) and "The phone has no bars" in page

    walk = begin(ana, maria, words="no bars at all since this morning")
    page = text_of(ana.get(f"{ana.here}?section=cause"))
    for words in ("No service", "Look at the very top of the screen", "Why this step", "Airplane mode is on", "Suspects", "as they should be", "data-key=\"i\""):
        assert words in page, words
    end = walk_to_the_end(ana, walk, "airplane_mode")
    assert "It works again" in end and "Found and put right" in end and "Airplane mode is on" in end
    action, typed, _ = form_of(end, "form-cause-tell")
    message = html.unescape(re.search(r'name="text"[^>]*>(.*?)</textarea>', end, re.S)[1])
    assert "Airplane mode is on." in message and len(message) <= 480
    sent = ana.http.post(action, {**typed, "text": message + " All the best, Ana"})
    assert sent.status_code == 303
    walk.refresh_from_db()
    assert (walk.state, walk.causes, walk.told) == ("fixed", ["airplane_mode"], True)
    assert Outbox.objects.get(topic="what_happened").body.endswith("All the best, Ana")
    closed = flat(text_of(ana.get(sent["Location"])))
    assert "It works again" in closed and "The customer was sent what happened" in closed and "Search for another cause" in closed

    timeline = text_of(ana.get(f"{ana.here}?section=time"))
    assert f"{walk.number}: works again" in timeline and f"{walk.number}: 1 answer" not in timeline
    ana.do(ana.contact, "contacts.end")
    wrap = text_of(ana.get(ana.here))
    assert f"{walk.number}: works again (Airplane mode is on)." in html.unescape(wrap) and "1 answer" not in wrap
    assert "Called about: phone or network trouble" in wrap
    assert re.search(r'value="device" selected', wrap) and re.search(r'value="resolved" (selected|checked)', wrap)


def test_a_search_of_an_earlier_contact_is_offered_at_the_top_of_the_account_and_goes_on(ana, maria):
    walk = begin_a_walk(maria)
    for part in ("", "?section=lines", "?section=time"):
        page = flat(text_of(ana.get(ana.here + part)))
        assert "A search for the cause is open for line 0188 since" in page and "No service" in page, part
    page = flat(text_of(ana.get(f"{ana.here}?section=cause")))
    assert "in an earlier contact" in page and walk.number in page and "A search for the cause is open" not in page
    other = ana.do(ana.contact, "diagnosis.start", account=maria.pk, line=maria.lines.get().pk, guide="mobile_data")
    assert other.status_code == 422 and "Go on with it, or leave it first" in text_of(other)
    assert answer_location(ana.do(ana.contact, "diagnosis.leave", account=maria.pk, walk=walk.pk)) == f"{ana.here}?section=cause"
    assert "in their words" in text_of(ana.get(f"{ana.here}?section=cause"))


def answer_location(response) -> str:
    assert response.status_code == 303, text_of(response)
    return response["Location"]


def test_where_something_does_not_work_the_way_forward_is_to_find_the_cause(ana, maria):
    line = maria.lines.get()
    Line.objects.update(status="suspended", suspended_for="non_payment", status_reason="not paid")
    page = text_of(ana.get(ana.here))
    assert f'href="{ana.here}?section=cause&amp;line={line.pk}"' in page and "find the cause" in page
    section = text_of(ana.get(f"{ana.here}?section=cause&line={line.pk}"))
    assert f'value="{line.pk}" checked' in section or f'value="{line.pk}" selected' in section


def second_line(account, **given) -> Line:
    """A tablet on the same account, of a make whose menus nobody knows."""
    first = account.lines.get()
    device = Device.objects.create(imei="860000000000001", make="Alcatel", model="Tab 3")
    return Line.objects.create(
        account=account, msisdn="+12065550189", plan=first.plan, device=device, activated_on=first.activated_on, number_since=first.number_since, iccid="8901260000000000002", **given
    )  # fmt: skip


def test_the_search_is_about_the_line_that_does_not_work_and_its_phone(ana, maria):
    phone, tablet = maria.lines.get(), second_line(maria)
    page = text_of(ana.get(f"{ana.here}?section=cause"))
    assert not re.search(r'name="line"[^>]*value="\d+"[^>]*(checked|selected)', page), "nobody knows yet which line"
    unsaid = text_of(ana.do(ana.contact, "diagnosis.start", account=maria.pk, words="hotspot"))
    assert "Choose the line that does not work." in unsaid and re.search(r'value="hotspot" checked', unsaid), "a word of its title finds a guide"
    assert re.search(r'value="sim_esim"', text_of(ana.do(ana.contact, "diagnosis.start", account=maria.pk, words="puk", line=tablet.pk))), "and a word of a cause"
    for line, says, other in ((phone, "SIMs, Access Point Names.", "Cellular Data Network"), (tablet, "iPhone: Settings, Cellular, Cellular Data Network. Android: SIMs", "[")):
        ana.do(ana.contact, "diagnosis.start", account=maria.pk, line=line.pk, guide="mobile_data")
        walk = Walk.objects.latest("pk")
        assert walk.line_id == line.pk
        words = queries.standing(walk).walk.words(queries.guides(walk.rulebook)["mobile_data"].check_by_id["apn_name"].say)
        assert says in words and other not in words
    one, two = Walk.objects.order_by("pk")
    page = flat(text_of(ana.get(f"{ana.here}?section=cause&walk={one.pk}")))
    assert "Google Pixel 8" in page and f"{two.number}" not in page and "open for line 0189" in page


def test_an_outage_that_a_lead_entered_is_said_in_her_words_where_the_phone_was_seen(house, ana, maria, clock):
    tablet = second_line(maria)
    seen = {"at": TUESDAY, "registered": False, "cells": ["310-260-7"]}
    SandboxDevices().put_many([{"number": x.msisdn, **seen} for x in maria.lines.all()])
    where = Desk(house["sam"]).must("network.name_area", short="pier", name="Pier 9", cells=["310-260-7"]).show["area"]
    trouble = Desk(house["lena"]).must("network.report_outage", area=where, kind="outage", voice=True, words="A cable at the pier is cut. We are repairing it.").show["id"]
    data = Walk.objects.get(pk=int(desk_of(ana).must("diagnosis.start", account=maria.pk, line=tablet.pk, guide="mobile_data").show["walk"]))
    assert said_of(data, "network.outage") == "none", "calls are out there, data is not"
    calls = Walk.objects.get(pk=int(desk_of(ana).must("diagnosis.start", account=maria.pk, line=maria.lines.earliest("pk").pk, guide="no_service").show["walk"]))
    page = flat(text_of(ana.get(f"{ana.here}?section=cause&walk={calls.pk}")))
    assert "Outage in Pier 9: calls" in page and "Hand over to Network operations" in page
    assert page.count("A cable at the pier is cut. We are repairing it.") == 2, "to be said, and in the message"
    with undone():  # she ends the contact where the search stands
        ana.do(ana.contact, "contacts.end")
        wrap = text_of(ana.get(ana.here))
        assert re.search(r'value="network" selected', wrap) and re.search(r'value="handed_on" (selected|checked)', wrap)
    Desk(house["lena"]).must("network.end_outage", outage=int(trouble))
    page = flat(text_of(ana.get(f"{ana.here}?section=cause&walk={calls.pk}")))
    assert "over since" in page and "A cable at the pier" not in page


def desk_of(browser) -> Desk:
    """The acts of whoever sits at this browser, in the contact that they hold."""
    desk = Desk(browser.person)
    desk.contact = browser.contact.pk
    return desk


def said_of(walk, check: str) -> str:
    return next(x.what["outcome"] for x in Answer.objects.filter(walk=walk) if x.what.get("check") == check)


def test_what_the_phone_said_long_ago_is_shown_with_its_age_and_asked(ana, maria):
    SandboxDevices().put(maria.lines.get().msisdn, at=TUESDAY - timedelta(hours=3), registered=True, settings={"data_saver": "on"})
    walk = begin(ana, maria, "mobile_data")
    assert said_of(walk, "device.settings.data_saver") == "cannot_tell" and queries.standing(walk).walk.step.kind != "remedy"
    page = flat(text_of(ana.get(f"{ana.here}?section=cause")))
    assert "Read too long ago: ask" in page and re.search(r"Data saver.{0,60}phone, read from afar, 3 h ago", page)


# ---------------------------------------------------------------- remedies that are acts


@pytest.fixture
def used_up(maria, clock):
    Usage.objects.create(line=maria.lines.get(), kind="data", day=date(2026, 11, 20), quantity=16_000)
    return maria


def step_with_act(ana, walk):
    page = ana.get(f"{ana.here}?section=cause&walk={walk.pk}").content.decode()
    href = html.unescape(re.search(r'class="button (?:primary|strong) big" href="([^"]+)"', page)[1])
    return page, href


def test_an_act_that_the_guide_asks_for_opens_filled_in_and_its_yes_is_the_walks_answer(ana, used_up):
    walk = begin(ana, used_up, "mobile_data")
    page, href = step_with_act(ana, walk)
    assert "Add 2 GB of data" in page and "Your plan&#39;s data is used up" in page and "&walk=" in href and "mb=2048" in href
    form = ana.get(href).content.decode()
    assert form.count('id="act"') == 1 and "2 GB more costs $10.00" in form and f'name="walk" value="{walk.pk}"' in form
    reload = html.unescape(re.search(r'hx-get="([^"]+)"', form)[1])
    assert 'name="remedy" value="add_data"' in ana.get(f"{reload}&mb=1024&line={used_up.lines.get().pk}", HX_Request="true").content.decode()

    typed = {"account": used_up.pk, "line": used_up.lines.get().pk, "mb": 2048, "walk": walk.pk, "remedy": "add_data"}
    unasked = ana.do(ana.contact, "lines.add_data", **typed, consent="")
    assert unasked.status_code == 422 and 'name="remedy" value="add_data"' in text_of(unasked) and not said(walk, "remedy")
    mine = key()
    done = [ana.do(ana.contact, "lines.add_data", **typed, consent=1000, request_key=mine) for _ in range(2)]
    assert [answer_location(x) for x in done] == [f"{ana.here}?section=cause&walk={walk.pk}"] * 2
    assert AddedData.objects.count() == 1 and said(walk, "remedy") == [{"remedy": "add_data", "outcome": "done"}]
    page = flat(text_of(ana.get(done[0]["Location"])))
    assert "Done at the desk" in page and "Undo" not in page, "what was done is not taken back here"


def said(walk, what) -> list[dict]:
    return [x.what for x in Answer.objects.filter(walk=walk).order_by("number") if what in x.what]


def test_what_the_network_refuses_is_the_walks_answer_too(ana, used_up):
    walk = begin(ana, used_up, "mobile_data")
    SandboxNetwork().script(used_up.lines.get().msisdn, "refuse")
    no = ana.do(ana.contact, "lines.add_data", account=used_up.pk, line=used_up.lines.get().pk, mb=2048, consent=1000, walk=walk.pk, remedy="add_data")
    assert answer_location(no).endswith(f"&walk={walk.pk}") and said(walk, "remedy") == [{"remedy": "add_data", "outcome": "failed"}]
    assert "The network refused" in text_of(ana.get(no["Location"]))


def test_an_act_without_its_walk_or_for_another_remedy_says_nothing_to_the_walk(ana, used_up):
    walk = begin(ana, used_up, "mobile_data")
    typed = {"account": used_up.pk, "line": used_up.lines.get().pk}
    for more in ({}, {"walk": walk.pk}, {"walk": walk.pk, "remedy": "add_data"}, {"walk": "99999", "remedy": "add_data"}, {"walk": "²", "remedy": "x"}):
        assert ana.do(ana.contact, "lines.refresh_provisioning", **typed, **more).status_code == 303
    assert not said(walk, "remedy")


def test_an_act_that_is_not_possible_says_why_and_who_could(house, used_up):
    tom = Browser(house["tom"])
    tom.contact = hold_contact(house["tom"], used_up, "verified")
    tom.here = f"/contacts/{tom.contact.reference}/"
    begin(tom, used_up, "mobile_data")
    page = flat(text_of(tom.get(f"{tom.here}?section=cause")))
    assert "Your role does not have this act." in page and "associate" in page and "Done at the desk already" in page
    assert 'class="button primary big"' not in text_of(tom.get(f"{tom.here}?section=cause"))


def test_a_link_to_pay_waits_until_it_is_paid(ana, maria):
    Line.objects.update(status="suspended", suspended_for="non_payment", status_reason="not paid")
    Customer.objects.update(email="maria@example.com")
    people.issue_bill(maria, maria.lines.get(), issued=date(2026, 10, 4), amount=3000)
    walk = begin(ana, maria)
    page, href = step_with_act(ana, walk)
    assert "Send a link to pay" in page and "Take a payment instead" in page and "payments.send_link" in href
    owed = ledger.past_due(maria.pk, timezone.now().date())[0]
    assert owed > 0 and f'value="{owed / 100:.2f}"' in ana.get(href).content.decode(), "what is past due is filled in"
    sent = ana.do(ana.contact, "payments.send_link", account=maria.pk, amount="30", line="", walk=walk.pk, remedy="pay_link")
    assert Outbox.objects.get(topic="payment_link").to == "maria@example.com", "no text arrives on a suspended line"
    assert answer_location(sent).endswith(f"&walk={walk.pk}") and not said(walk, "remedy")
    waiting = text_of(ana.get(sent["Location"]))
    assert "by e-mail. It is not paid yet." in waiting and "It is paid" in waiting
    method = maria.payment_methods.get().pk
    paid = ana.do(ana.contact, "payments.take", account=maria.pk, amount=f"{owed / 100:.2f}", method=method, walk=walk.pk, remedy="pay_link")
    assert said(walk, "remedy") == [{"remedy": "pay_link", "outcome": "done"}]
    assert "Switch the line on again" in text_of(ana.get(answer_location(paid)))
    on = ana.do(ana.contact, "lines.restore", account=maria.pk, line=maria.lines.get().pk, consent=2000, walk=walk.pk, remedy="restore_paid")
    assert answer_location(on) and Line.objects.get().status == "active"
    phone = Phone(queries.guides(walk.rulebook)[walk.guide], set())
    page = ana.get(on["Location"]).content.decode()
    for _ in range(12):
        if "form-cause-step" not in page:
            break
        page = reply(ana, page, phone)
    assert "It works again" in page and "Suspended: a bill was not paid" in page and "A bill is overdue" in page
    ana.do(ana.contact, "diagnosis.close", account=maria.pk, walk=walk.pk)
    ana.do(ana.contact, "contacts.end")
    assert re.search(r'value="past_due" selected', text_of(ana.get(ana.here)))


# ---------------------------------------------------------------- what somebody knows


def test_a_link_to_pay_goes_where_it_arrives(ana, maria):
    tablet = second_line(maria, can_text=False)
    Line.objects.filter(pk=maria.lines.earliest("pk").pk).update(status="suspended", suspended_for="non_payment", status_reason="not paid")
    people.issue_bill(maria, maria.lines.earliest("pk"), issued=date(2026, 10, 4), amount=3000)
    no = ana.do(ana.contact, "payments.send_link", account=maria.pk, amount="30", line=tablet.pk)
    assert no.status_code == 422 and "takes texts" in text_of(no) and not Outbox.objects.filter(topic="payment_link").exists()
    Line.objects.filter(pk=tablet.pk).update(can_text=True)
    form = text_of(ana.get(f"{ana.here}?act=payments.send_link"))
    assert re.search(rf'value="{tablet.pk}" (checked|selected)', form) and "0188" not in flat(form).split("Send a payment link")[-1].split("Send the link")[0]
    no = ana.do(ana.contact, "payments.send_link", account=maria.pk, amount="30", line=maria.lines.earliest("pk").pk)
    assert no.status_code == 422 and "suspended and gets no texts now" in text_of(no)
    Line.objects.filter(pk=tablet.pk).update(can_text=False)
    assert "no e-mail address" in text_of(ana.get(f"{ana.here}?act=payments.send_link")), "nothing reaches her: said before anything is typed"


def test_a_cause_that_is_typed_is_found_by_its_title_by_words_of_it_or_asked_which(ana, maria):
    walk = begin(ana, maria)
    guide = queries.guides(walk.rulebook)["no_service"]
    typed = {"account": maria.pk, "walk": walk.pk, "present": "yes"}
    for words in ("airplane_mode", guide.cause_by_id["airplane_mode"].title.upper(), "  airplane   mode "):
        assert ana.do(ana.contact, "diagnosis.answer", **typed, cause=words).status_code == 303, words
    assert said(walk, "cause") == [{"cause": "airplane_mode", "present": True}] * 3
    which = ana.do(ana.contact, "diagnosis.answer", **typed, cause="suspended")
    assert which.status_code == 422 and "Which one: Suspended" in text_of(which)
    unknown = ana.do(ana.contact, "diagnosis.answer", **typed, cause="gremlins")
    assert unknown.status_code == 422 and re.search(r'id="cause-typed-error">This guide knows no such cause', text_of(unknown))
    nothing = ana.do(ana.contact, "diagnosis.answer", **typed, cause="")
    assert nothing.status_code == 422 and "Type what you know" in text_of(nothing)
    assert ana.do(ana.contact, "diagnosis.answer", **typed | {"present": "no"}, cause="airplane_mode").status_code == 303
    assert said(walk, "cause")[-1] == {"cause": "airplane_mode", "present": False}


# ---------------------------------------------------------------- refuses, bears, and asks little


def test_nothing_of_a_search_is_shown_before_somebody_is_verified(house, maria):
    walk = begin_a_walk(maria)
    ben = Browser(house["ben"])
    contact = hold_contact(house["ben"], maria, "identified")
    for query in ("", "?section=cause", f"?section=cause&walk={walk.pk}", f"?section=cause&walk={walk.pk}&act=lines.add_data"):
        page = text_of(ben.get(f"/contacts/{contact.reference}/{query}"))
        assert "Verify the caller" in page and walk.number not in page and "Suspects" not in page and "No service" not in page


def test_a_search_of_another_account_is_not_shown_and_not_told_anything(ana, maria, house):
    otto = people.open_account("Otto Berg", "+12065550199", "A-0104900", pin="9182")
    theirs = begin_a_walk(otto)
    page = text_of(ana.get(f"{ana.here}?section=cause&walk={theirs.pk}"))
    assert theirs.number not in page and "0199" not in page
    for code, more in (("diagnosis.answer", {"said:line.status": "active"}), ("diagnosis.undo", {}), ("diagnosis.leave", {}), ("diagnosis.tell", {"text": "x"})):
        no = ana.do(ana.contact, code, account=maria.pk, walk=theirs.pk, **more)
        assert no.status_code == 422 and theirs.number not in text_of(no), code
    assert Walk.objects.get(pk=theirs.pk).state == "open" and not Answer.objects.filter(walk=theirs).exists()


def test_the_panel_is_on_the_page_once_for_a_boosted_browser_too(ana, maria):
    walk = begin(ana, maria)
    for query in ("?section=cause", f"?section=cause&walk={walk.pk}", "?section=cause&new=1"):
        for headers in ({}, {"HX_Request": "true", "HX_Boosted": "true"}):
            page = ana.get(ana.here + query, **headers).content.decode()
            assert [page.count(f'id="{x}"') for x in ("main", "cause", "top")] == [1, 1, 1]
            ids = re.findall(r' id="([^"]+)"', page)
            assert len(ids) == len(set(ids)), [x for x in ids if ids.count(x) > 1]


def test_the_same_answer_sent_twice_is_one_and_a_late_one_from_another_tab_is_none(ana, maria):
    walk = begin(ana, maria)
    address = f"{ana.here}?section=cause&walk={walk.pk}"
    action, typed, offers = form_of(ana.get(address).content.decode())
    other_tab = form_of(ana.get(address).content.decode())[1]
    chosen = {name: value for name, value, _ in offers}
    sent = [ana.http.post(action, {**typed, **chosen}) for _ in range(3)]
    assert [answer_location(x) for x in sent] == [address] * 3
    turns = Answer.objects.filter(walk=walk, source="customer").values_list("turn", flat=True).distinct().count()
    assert turns == 1 and JournalLine.objects.filter(code="diagnosis.answer", outcome="done").count() == 1
    late = ana.http.post(action, {**other_tab, **chosen})
    assert answer_location(late) == address and "answered already" in text_of(ana.get(address))
    assert Answer.objects.filter(walk=walk, source="customer").values_list("turn", flat=True).distinct().count() == 1


def test_a_step_without_an_answer_says_so_and_stays(ana, maria):
    walk = begin(ana, maria)
    no = ana.do(ana.contact, "diagnosis.answer", account=maria.pk, walk=walk.pk)
    assert no.status_code == 422 and "Choose what they say, or that they cannot tell." in text_of(no)
    assert not Answer.objects.filter(walk=walk, source="customer").exists()


def test_the_panel_asks_the_database_as_often_for_a_long_search_with_many_lines_as_for_a_short_one(ana, maria):
    walk = begin(ana, maria)

    def counted() -> int:
        ana.get(ana.here)
        with Counting(connection) as asked:
            assert "Suspects" in text_of(ana.get(f"{ana.here}?section=cause&walk={walk.pk}"))
        return len(asked)

    first = counted()
    assert first <= 15
    line = maria.lines.get()
    for i in range(12):
        device = Device.objects.create(imei=f"86{i:013d}", make="Fair", model=f"Phone {i}")
        extra = Line.objects.create(account=maria, msisdn=f"+1206556{i:04d}", plan=line.plan, device=device, activated_on=line.activated_on, number_since=line.number_since, iccid=f"89012{i:014d}")
        if i < 6:
            Walk.objects.create(number=f"WK-{i}", account=maria, line=extra, guide="no_service", rulebook=walk.rulebook, began=TUESDAY, began_by="x")
    for cause_ in ("outage", "sim_pin", "airplane_mode"):
        ana.do(ana.contact, "diagnosis.answer", account=maria.pk, walk=walk.pk, cause=cause_, present="no")
    assert counted() == first


def test_the_panel_bears_whatever_stands_in_its_address_and_its_forms(ana, maria):
    walk = begin(ana, maria)
    step = form_of(ana.get(f"{ana.here}?section=cause").content.decode())
    posts = [
        ("diagnosis.start", {"line": maria.lines.get().pk, "words": "no bars", "guide": "", "complaint": "x", "complaint-no_service": "y"}),
        ("diagnosis.answer", {"walk": walk.pk, "turn": "2", "wording": "1", **{n: v for n, v, _ in step[2]}}),
        ("diagnosis.answer", {"walk": walk.pk, "remedy": "airplane_off", "outcome": "done"}),
        ("diagnosis.answer", {"walk": walk.pk, "cause": "outage", "present": "yes"}),
        ("diagnosis.tell", {"walk": walk.pk, "text": "It was nothing", "then": "close"}),
        ("lines.add_data", {"line": maria.lines.get().pk, "mb": "1024", "consent": "500", "walk": walk.pk, "remedy": "add_data"}),
    ]
    for code, typed in posts:
        for name in typed:
            for what, nasty in NASTY.items():
                with undone():
                    bears(ana.do(ana.contact, code, account=maria.pk, **{**typed, name: nasty}), (code, name, what))
    with undone():
        bears(ana.do(ana.contact, "diagnosis.answer", account=maria.pk, walk=walk.pk, **{f"said:{n}": "x" for n in range(60)}), "sixty answers")
        bears(ana.do(ana.contact, "diagnosis.answer", account=maria.pk, walk=walk.pk, **{"said:": "x"}), "an answer to nothing")
    for name in ("walk", "line", "new", "act", "remedy", "words", "guide", "mb"):
        for nasty in NASTY.values():
            for more in ({}, {"walk": walk.pk}, {"act": "lines.add_data", "walk": walk.pk}):
                bears(ana.http.get(ana.here, {"section": "cause", **more, name: nasty}), (name, nasty[:20]))


def test_a_card_number_in_the_customers_words_is_refused_and_not_shown_again(ana, maria):
    proposed = ana.do(ana.contact, "diagnosis.start", account=maria.pk, line=maria.lines.get().pk, words="pay with 4111 1111 1111 1111")
    assert "4111" not in text_of(proposed) and "card" in text_of(proposed) and not Walk.objects.exists()


# ---------------------------------------------------------------- the end


def test_a_line_that_takes_no_texts_is_told_on_the_call_and_the_search_still_ends(ana, maria):
    walk = begin(ana, maria)
    Line.objects.update(can_text=False)
    end = walk_to_the_end(ana, walk, "airplane_mode")
    assert "Tell the customer on the call" in end and "form-cause-tell" not in end
    assert ana.do(ana.contact, "diagnosis.close", account=maria.pk, walk=walk.pk).status_code == 303
    walk.refresh_from_db()
    assert (walk.state, walk.told) == ("fixed", False) and 0 < walk.steps < 12


def test_the_message_fits_one_text_and_speaks_in_the_guides_words():
    for guide in load_all(BOOK.files).values():
        for one in guide.causes:
            text = cause.message([one], [], "", Walk_(guide, policy=numbers(BOOK.files)).words)
            assert not re.search(r"[{}\[\]]", text)
            assert text.startswith(f"What we found: {one.title}") and len(text) <= cause.MESSAGE
        assert len(cause.message(list(guide.causes), list(guide.causes), "Fraud", str)) <= cause.MESSAGE


def test_every_cause_of_every_guide_has_a_root_cause_of_the_rulebook():
    known = set(BOOK.reasons["root_cause"])
    assert set(cause.ROOT_CAUSES.values()) <= known and set(cause.DISPOSITIONS.values()) <= set(BOOK.reasons["disposition"])
    for guide in load_all(BOOK.files).values():
        for one in guide.causes:
            assert one.lives == "circumstance" or (cause.ROOT_CAUSES.get(one.id) or cause.ROOT_CAUSES.get(one.lives)) in known, one.id
            assert guide.about == "line" or one.lives == "person" or one.id in cause.ROOT_CAUSES, f"{one.id}: of an account, and no trouble of a plan"


# ---------------------------------------------------------------- the guides, for those who lead


def test_the_guides_say_what_they_hold_and_how_they_did(house, ana, maria):
    walk = begin(ana, maria)
    walk_to_the_end(ana, walk, "airplane_mode")
    ana.do(ana.contact, "diagnosis.close", account=maria.pk, walk=walk.pk)
    lena = Browser(house["lena"])
    page = flat(lena.get("/guides").content.decode())
    guide = queries.guides(walk.rulebook)["no_service"]
    assert guide.title in page and f"{len(guide.causes)} causes, {len(guide.checks)} checks" in page and "100 %" in page and "Not walked yet" in page
    one = lena.get("/guides/no_service")
    words = flat(one.content.decode())
    for item in (*guide.causes, *guide.remedies):
        assert item.title in words
    assert "100 %" in words and '<img src="/guides/no_service/picture.svg"' in one.content.decode()
    picture = lena.get("/guides/no_service/picture.svg")
    assert picture["Content-Type"].startswith("image/svg+xml") and picture.content.startswith(b"<svg")
    policy = picture["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe-inline" in policy and "unsafe-inline" not in one["Content-Security-Policy"]
    for address in ("/guides/nothing", "/guides/nothing/picture.svg", "/guides/parts%2fsim", "/guides/%00"):
        assert lena.get(address).status_code == 404
    assert JournalLine.objects.filter(code="view.guides").count() == 1
    for name in ("ana", "ada"):
        assert Browser(house[name]).get("/guides").status_code == 403


def test_what_searches_teach_stands_on_the_guides_page_with_its_evidence_and_how_it_is_adopted(house, ana, maria):
    lena = Browser(house["lena"])
    assert "What these searches teach" not in text_of(lena.get("/guides/no_service"))
    digest = begin_a_walk(maria).rulebook
    guide = queries.guides(digest)["no_service"]
    there = {c.id: 1.0 if c.id == "sim_unseated" else 0.0 for c in guide.causes}
    for n in range(12):
        Walk.objects.create(number=f"WK-{n}", account=maria, line=maria.lines.get(), guide="no_service", rulebook=digest, state="fixed", began=TUESDAY,
                            began_by="x", closed=TUESDAY, steps=3, seconds=60, there=there)  # fmt: skip
    page = flat(text_of(lena.get("/guides/no_service")))
    old = f"{100 * guide.cause_by_id['sim_unseated'].prior:.1f} %"
    assert re.search(rf"{guide.cause_by_id['sim_unseated'].title} {old} [0-9]+ % [0-9]+ % to [0-9]+ % 12 of 12", page)
    assert "careline guide learn --since 90 --out FOLDER" in page and "--second USERNAME" in page


def test_a_walk_that_ends_keeps_what_it_teaches_and_one_that_is_left_does_not(ana, maria):
    walk = begin(ana, maria)
    walk_to_the_end(ana, walk, "airplane_mode")
    ana.do(ana.contact, "diagnosis.close", account=maria.pk, walk=walk.pk)
    there = Walk.objects.get(pk=walk.pk).there
    assert there["airplane_mode"] == 1.0 and there.keys() == {c.id for c in queries.guides(walk.rulebook)["no_service"].causes}
    left = begin(ana, maria)
    ana.do(ana.contact, "diagnosis.leave", account=maria.pk, walk=left.pk)
    assert Walk.objects.get(pk=left.pk).there == {}


def test_the_guides_ask_the_database_as_often_after_many_searches_as_after_one(house, maria):
    lena, line = Browser(house["lena"]), maria.lines.get()
    digest = begin_a_walk(maria).rulebook

    def closed(n: int) -> None:
        for i in range(n):
            Walk.objects.create(number=f"WK-{Walk.objects.count()}-{i}", account=maria, line=line, guide="no_service", rulebook=digest, state="fixed",
                                began=TUESDAY, began_by="x", closed=TUESDAY, steps=3, seconds=60)

    def counted() -> int:
        with Counting(connection) as asked:
            assert lena.get("/guides").status_code == 200
        return len(asked)

    closed(1)
    lena.get("/guides")
    one = counted()
    closed(30)
    assert counted() == one <= 8


def test_a_search_that_is_settled_is_closed_with_its_contact_though_nobody_pressed_the_button(ana, maria):
    walk = begin(ana, maria)
    assert "It works again" in walk_to_the_end(ana, walk, "airplane_mode")
    ana.do(ana.contact, "contacts.end")
    wrap = flat(ana.get(ana.here).content.decode())
    assert f"{walk.number}: works again (Airplane mode is on)." in wrap and "not finished" not in wrap and "Nothing was changed" not in wrap
    walk.refresh_from_db()
    assert walk.state == "fixed"


def test_an_ended_contact_keeps_what_was_not_finished_for_the_next(house, maria, clock):
    ana = Browser(house["ana"])
    ana.contact = hold_contact(house["ana"], maria, "verified")
    ana.here = f"/contacts/{ana.contact.reference}/"
    walk = begin(ana, maria)
    ana.do(ana.contact, "contacts.end")
    page = text_of(ana.get(ana.here))
    assert f"{walk.number} (No service) is not finished: the next contact goes on with it." in page
    assert Desk(house["ana"]).staff and Outbox.objects.filter(topic="what_happened").count() == 0


def test_a_caller_may_say_at_any_step_that_it_works_now(ana, maria):
    """One toggle and the bars are back: nobody has to go through the rest."""
    walk = begin(ana, maria)
    here = f"{ana.here}?section=cause&walk={walk.pk}"
    page = ana.get(here).content.decode()
    assert "It works now" not in page  # nothing was done yet
    phone = Phone(queries.guides(walk.rulebook)["no_service"], {"airplane_mode"})
    for _ in range(8):
        page = reply(ana, page, phone)
        if "It works now" in page:
            break
    form = next(f for f in re.findall(r"<form.*?</form>", page, re.S) if "It works now" in f)
    typed = {k: html.unescape(v) for k, v in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form)}
    before = queries.standing(walk).walk.belief.works
    answer = ana.http.post(re.search(r'action="([^"]+)"', form)[1], typed)
    assert answer.status_code == 303
    now = queries.standing(walk).walk
    assert now.events[-1].check == now.guide.test.id and now.belief.works > before


def test_a_search_that_is_taken_up_later_reads_first_and_then_goes_on(house, ana, maria, clock):
    begin(ana, maria)
    first = desk_of(ana)
    first.must("contacts.end")
    first.must("contacts.wrap_up", summary="She calls again", disposition="customer_acts", root_cause="none")
    clock.later(days=2)
    ana = Browser(house["ana"])
    ana.here = f"/contacts/{contacts.contact(Desk(house['ana'], clock.now).take_call(maria).contact).reference}/"
    page = text_of(ana.get(f"{ana.here}?section=cause"))
    assert "Read the account and the network again" in page and "last read Nov" in flat(page)
    action, typed, _ = form_of(page)
    assert action.endswith("diagnosis.read_again")
    page = text_of(ana.get(answer_location(ana.http.post(action, typed))))
    assert "Read the account and the network again" not in page and "Read again" in page
    assert form_of(page)[0].endswith("diagnosis.answer")
