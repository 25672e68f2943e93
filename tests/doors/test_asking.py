"""Asking a lead in the call, as both see it in their browsers: the form, the request, the answer, the money after it."""

from __future__ import annotations

import re

import pytest

from careline.domain.approvals.models import Request
from careline.domain.credits.models import Grant
from careline.domain.journal.models import Line
from careline.domain.ledger.models import BillLine
from tests import people
from tests.doors.test_access import Browser, hold_contact, sit_down, tie


@pytest.fixture
def ana(house, maria):
    """Ana with Maria on the line, verified."""
    return sit_down(house["ana"], maria, "verified")


def text_of(response) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def ask(ana, account, amount="30", reason="goodwill", **more) -> Request:
    answer = ana.do(ana.contact, "approvals.ask", account=account.pk, asked="credits.grant", amount=amount, reason=reason, **more)
    assert answer.status_code == 303, text_of(answer)
    return Request.objects.latest("pk")


# ---------------------------------------------------------------- the form


def test_above_the_limit_of_the_first_reason_a_lead_is_offered_and_asked(ana, maria):
    """README, step 4, as it is written."""
    form = text_of(ana.get(ana.here + "?act=credits.grant"))
    assert "You may grant up to $25.00 here for goodwill, because this reason leaves $25.00 for this event." in form
    refused = text_of(ana.do(ana.contact, "credits.grant", account=maria.pk, amount="30", reason="goodwill", words="A bad week"))
    assert "This reason leaves $25.00 for this event." in refused and "Who could: <b>lead, supervisor</b>" in refused
    assert "Ask a lead" in refused and 'name="amount" value="30"' in refused
    request = ask(ana, maria, words="A bad week")
    assert (request.amount_minor, request.role_list, request.words) == (3000, ["lead", "supervisor"], "A bad week")


def test_where_nobody_may_the_refusal_says_so_and_offers_nobody(ana, maria):
    refused = text_of(ana.do(ana.contact, "credits.grant", account=maria.pk, amount="101", reason="goodwill"))
    assert "Nobody here may go beyond it." in refused and "Ask a lead" not in refused and "Who could" not in refused


def test_the_form_names_the_one_rule_that_stops_the_next_cent(ana, maria):
    """Whichever room is smallest: nothing given, most of the event given, the year nearly used up, a charge nearly gone."""
    charge = BillLine.objects.filter(bill__account=maria, kind="plan").last()

    def says(**given):
        query = "&".join(f"{k}={v}" for k, v in given.items())
        return re.search(r'<p class="limit">(.*?)</p>', text_of(ana.get(f"{ana.here}?act=credits.grant&{query}"))).group(1)

    assert "up to $25.00 here for retention, because your limit leaves $25.00 for this event." in says(reason="retention")
    assert "because this reason needs the charge that was wrong." in says(reason="billing_error")
    assert "limits.toml: credit.event" in says(reason="billing_error", bill_line=charge.pk)
    ana.do(ana.contact, "credits.grant", account=maria.pk, amount="20", reason="goodwill")
    assert "up to $5.00 here for goodwill, because this reason leaves $5.00" in says(reason="goodwill")
    ana.do(ana.contact, "credits.grant", account=maria.pk, amount="22", reason="retention")
    assert "up to $8.00 here for service failure, because this account has $8.00 left" in says(reason="service_failure", bill_line=charge.pk)


def test_what_is_left_of_somebody_elses_charge_is_told_to_nobody(house, ana, maria):
    otto = people.open_account("Otto Berg", "+12065550199", "A-0104900", bill_minor=700)
    theirs = BillLine.objects.filter(bill__account=otto, kind="plan").first().pk
    page = text_of(ana.do(ana.contact, "credits.grant", account=maria.pk, amount="9", reason="goodwill", bill_line=theirs))
    assert "$7.00" not in page and not Grant.objects.exists()


# ---------------------------------------------------------------- the answer


def decide(house, request: Request, decision: str = "approve", **more):
    answer = Browser(house["lena"]).post(f"/approvals/{request.pk}", decision=decision, **more)
    assert answer.status_code == 303, text_of(answer)


def test_an_answer_says_what_came_to_the_account_with_its_tax_and_has_the_money_drawn_again(house, ana, maria):
    charge = BillLine.objects.filter(bill__account=maria, kind="plan").last()
    request = ask(ana, maria, "40", "billing_error", bill_line=charge.pk)
    part = f"/requests/{request.pk}/part"
    assert "data-refresh" not in text_of(ana.get(part))
    decide(house, request, "less", amount="30")
    told = text_of(ana.get(part))
    assert "data-refresh" in told and "data-poll-done" in told
    assert re.search(r'granted <span class="num">\$30.00</span>, with tax <span class="num">\$32.40</span>', told)
    page = text_of(ana.get(ana.here))
    assert 'id="col-left" data-keep-scroll data-fresh' in page and '<div id="section" data-fresh>' in page


def test_a_declined_request_draws_nothing_again(house, ana, maria):
    request = ask(ana, maria)
    decide(house, request, "decline", answer="No")
    assert "data-refresh" not in text_of(ana.get(f"/requests/{request.pk}/part"))


def test_without_script_a_waiting_request_has_a_link_to_look_again(ana, maria):
    ask(ana, maria)
    assert f'<noscript><p><a href="{ana.here}">' in text_of(ana.get(ana.here))


def test_an_answer_is_put_away_once_it_is_there_and_stays_in_the_wrap_up(house, ana, maria):
    request = ask(ana, maria, words="Two outages")
    ana.post(f"/requests/{request.pk}/away")
    assert "request is-waiting" in text_of(ana.get(ana.here)), "what still waits stays"
    decide(house, request)
    assert "Put away" in text_of(ana.get(ana.here))
    away = Browser(house["ben"]).post(f"/requests/{request.pk}/away")
    assert away.status_code == 404 and "request is-approved" in text_of(ana.get(ana.here))
    away = ana.http.post(f"/requests/{request.pk}/away", HTTP_REFERER=f"http://testserver{ana.here}?section=lines")
    assert away.status_code == 303 and away["Location"].endswith("?section=lines")
    assert "request is-" not in text_of(ana.get(ana.here)) and Line.objects.filter(code="approvals.decide").exists()
    withdrawn = ask(ana, maria, "31", "retention")
    ana.do(ana.contact, "approvals.withdraw", request=withdrawn.pk)
    ana.post(f"/requests/{withdrawn.pk}/away")
    assert "request is-" not in text_of(ana.get(ana.here))


# ---------------------------------------------------------------- the lead


def test_a_leads_home_lists_what_waits_for_them_first_with_its_age(house, ana, maria, clock):
    lena = Browser(house["lena"])
    assert "Nothing waits" in text_of(lena.get("/"))
    request = ask(ana, maria, words="Two outages")
    clock.later(seconds=125)
    home = text_of(lena.get("/"))
    waits = home[home.index("What waits for you"):]
    assert re.search(rf'<a href="/approvals/{request.pk}"[^>]*>Ana Silva asks: Grant a credit: \$30.00</a>', waits)
    assert 'data-since="125">2:05<' in waits and "the caller is on the line" in waits
    seen = re.search(r'data-poll="(/approvals/part\?home[^"]+)"', waits).group(1).replace("&amp;", "&")
    assert lena.get(seen).status_code == 204
    decide(house, request)
    assert "Ana Silva" not in text_of(lena.get(seen))
    assert 'id="asked"' not in text_of(ana.get("/"))


def test_the_approval_page_has_what_decides(house, ana, maria):
    charge = BillLine.objects.filter(bill__account=maria, kind="plan").last()
    ana.do(ana.contact, "credits.grant", account=maria.pk, amount="5", reason="billing_error", bill_line=charge.pk)
    request = ask(ana, maria, "30", "billing_error", bill_line=charge.pk, words="Charged twice for March")
    page = text_of(Browser(house["lena"]).get(f"/approvals/{request.pk}"))
    assert '<b>Maria Okafor</b>, account <span class="num">A-0104822</span>' in page
    assert "Billing error" in page and "Charged twice for March" in page
    assert re.search(r"Plus 15 GB, \$45.00 on the bill of \w+ \d+; \$5.00 credited already", page)
    assert "Your limit leaves $20.00 for this event." in page and "credit-event" in page
    row = text_of(Browser(house["lena"]).get("/approvals"))
    assert "<q>Charged twice for March</q> They were told: Your limit leaves $20.00 for this event." in row


def test_an_empty_reason_is_prompted_for(house, ana, maria):
    told = text_of(ana.do(ana.contact, "credits.grant", account=maria.pk, amount="30", reason="goodwill", words="A bad week"))
    assert "Why, in a few words" not in told
    asked = text_of(ana.do(ana.contact, "credits.grant", account=maria.pk, amount="30", reason="goodwill"))
    assert re.search(r'Why, in a few words <input name="words"[^>]* required></label> <button class="button strong">Ask a lead', asked)
    request = ask(ana, maria)
    assert "They gave no reason in words." in text_of(Browser(house["lena"]).get(f"/approvals/{request.pk}"))


# ---------------------------------------------------------------- the wrap-up


def test_the_drafted_summary_tells_what_was_done_noted_and_decided(house, ana, maria):
    for amount in ("99", "98"):  # clicks that came to nothing and were replaced
        ana.do(ana.contact, "credits.grant", account=maria.pk, amount=amount, reason="goodwill")
    request = ask(ana, maria, "40", "retention", words="Two outages")
    decide(house, request, "less", amount="30", answer="Thirty is fair.")
    ana.do(ana.contact, "contacts.note", account=maria.pk, words="Moves in March", pinned="on")
    ana.do(ana.contact, "contacts.end")
    draft = re.search(r'<textarea[^>]*name="summary"[^>]*>(.*?)</textarea>', text_of(ana.get(ana.here))).group(1)
    assert re.fullmatch(
        r"Account PIN: caller verified\. Credit CR-\S+: \$30\.00, retention\. "
        r"Lena Park granted \$30\.00 of the \$40\.00 that were asked \(Thirty is fair\)\. Noted: Moves in March\.", draft), draft


# ---------------------------------------------------------------- and a hand-over in between


def hand_over(ana, to) -> Browser:
    assert ana.do(ana.contact, "contacts.hand_over", to=to.pk, words="").status_code == 303
    taker = Browser(to)
    assert taker.do(ana.contact, "contacts.accept").status_code == 303
    return taker


def test_whoever_took_the_call_over_sees_the_answer_without_reloading_and_puts_it_away(house, ana, maria):
    """Ana asked, Eva has the caller now: Eva's page waits for the answer, and Ben, who holds nothing, sees none of it."""
    asked = ask(ana, maria)
    eva = hand_over(ana, house["eva"])
    poll = re.search(r'data-poll="(/requests/[^"]+)"', text_of(eva.get(ana.here))).group(1).replace("&amp;", "&")
    assert eva.get(poll, X_Careline_Poll="1").status_code == 204
    Browser(house["lena"]).post(f"/approvals/{asked.pk}", decision="approve")
    assert "approved by Lena Park" in text_of(eva.get(poll, X_Careline_Poll="1"))
    away = f"/requests/{asked.pk}/away"
    assert Browser(house["ben"]).get(poll, X_Careline_Poll="1").status_code == 404 and Browser(house["ben"]).post(away).status_code == 404
    assert eva.post(away).status_code == 303 and "approved by Lena Park" not in text_of(eva.get(ana.here))


def test_who_takes_over_a_caller_that_must_be_verified_again_reads_nothing_that_others_did(house, ana, maria):
    """Ana noted and credited; then the line dropped. Eva, who has the new voice, is not told what was said to the old one."""
    ana.do(ana.contact, "contacts.note", account=maria.pk, words="Her daughter starts college in Spokane")
    ana.do(ana.contact, "credits.grant", account=maria.pk, amount="3.21", reason="goodwill")
    for code in ("contacts.drop", "contacts.reconnect"):
        assert ana.do(ana.contact, code).status_code == 303
    assert "Spokane" in text_of(ana.get(ana.here + "?act=contacts.hand_over")), "Ana knows what she did"
    ana.do(ana.contact, "contacts.hand_over", to=house["eva"].pk, words="Verify again")
    eva = Browser(house["eva"])
    eva.do(ana.contact, "contacts.accept")
    page = text_of(eva.get(ana.here + "?act=contacts.hand_over"))
    eva.do(ana.contact, "contacts.end")
    for seen in (page, text_of(eva.get(ana.here))):
        assert "Spokane" not in seen and "$3.21" not in seen


def poll_of(page: str, start: str) -> str:
    return re.search(rf'data-poll="({start}[^"]*)"', page).group(1).replace("&amp;", "&")


def test_an_offer_shows_on_both_desks_without_reloading_and_ends_when_it_is_taken(house, ana, maria):
    """Ana stays with the caller and sees that it waits; it rings at Ben's; when he has it her page is left."""
    ben = Browser(house["ben"])
    rings = poll_of(text_of(ben.get("/")), "/ringing")
    assert ben.get(rings, X_Careline_Poll="1").status_code == 204
    ana.do(ana.contact, "contacts.hand_over", to=house["ben"].pk, words="Wants her bill explained")
    page = text_of(ana.get(ana.here))
    assert "Offered to Ben Carter" in page and "Wants her bill explained" in text_of(ben.get(ana.here))
    waits = poll_of(page, ana.here + "offer")
    assert ana.get(waits, X_Careline_Poll="1").status_code == 204
    assert f"Ana Silva hands over {ana.contact.reference}" in text_of(ben.get(rings, X_Careline_Poll="1"))
    ben.do(ana.contact, "contacts.accept")
    left = text_of(ana.get(waits, X_Careline_Poll="1"))
    assert "Ben Carter has the caller now" in left and 'data-leave="/"' in left and "Okafor" not in left
    assert Browser(house["eva"]).get(waits, X_Careline_Poll="1").status_code == 404, "she never had it"


def test_ben_declines_an_offer_and_ana_sees_on_her_page_that_the_caller_is_still_hers(house, ana, maria):
    """By the poll, and on the page that is loaded anew, until she offers it to somebody else."""
    ana.do(ana.contact, "contacts.hand_over", to=house["ben"].pk, words="Wants her bill explained")
    waits = poll_of(text_of(ana.get(ana.here)), ana.here + "offer")
    ben = Browser(house["ben"])
    assert "I cannot take it" in text_of(ben.get(ana.here))
    without = ben.do(ana.contact, "contacts.decline", words="")
    assert without.status_code == 422 and "This is needed." in text_of(without)
    said = ben.do(ana.contact, "contacts.decline", words="I am in a training")
    assert said.status_code == 303 and said["Location"] == "/" and "Ana Silva sees that" in text_of(ben.get("/"))
    assert ben.get(ana.here).status_code == 403 and "hands over" not in text_of(ben.get("/"))
    for seen in (text_of(ana.get(waits, X_Careline_Poll="1")), text_of(ana.get(ana.here))):
        assert "Ben Carter cannot take it" in seen and "I am in a training" in seen and "data-poll-done" in seen and "data-leave" not in seen
    ana.do(ana.contact, "contacts.hand_over", to=house["eva"].pk, words="Wants her bill explained")
    assert "cannot take it" not in text_of(ana.get(ana.here))


def test_an_offer_of_ones_own_business_can_be_declined_and_shows_nothing(house, ana, maria):
    tie(maria, house["ben"], "own")
    ana.do(ana.contact, "contacts.hand_over", to=house["ben"].pk, words="Wants her bill explained")
    ben = Browser(house["ben"])
    page = ben.get(ana.here)
    assert page.status_code == 403 and "I cannot take it" in text_of(page) and "bill explained" not in text_of(page)
    assert ben.do(ana.contact, "contacts.decline", words="I may not").status_code == 303


def test_an_offer_is_taken_back_and_then_nobody_takes_it(house, ana, maria):
    ana.do(ana.contact, "contacts.hand_over", to=house["ben"].pk, words="Wants her bill explained")
    assert ana.do(ana.contact, "contacts.hand_over", back="on").status_code == 303
    assert "Offered to" not in text_of(ana.get(ana.here))
    ben = Browser(house["ben"])
    assert "hands over" not in text_of(ben.get("/")) and ben.do(ana.contact, "contacts.accept").status_code == 403
    none = text_of(ana.do(ana.contact, "contacts.hand_over", back="on"))
    assert "This contact is offered to nobody." in none


def test_who_has_a_call_already_is_led_back_to_it_from_an_offer(house, ana, maria):
    otto = people.open_account("Otto Berg", "+12065550199", "A-0104900")
    own = hold_contact(house["ben"], otto, "verified")
    ana.do(ana.contact, "contacts.hand_over", to=house["ben"].pk, words="")
    ben = Browser(house["ben"])
    offered = text_of(ben.get(ana.here))
    assert re.search(r'<button class="button primary" autofocus>Take over</button>', offered) and "Back to" not in offered
    refused = text_of(ben.do(ana.contact, "contacts.accept"))
    assert "You have a live call already." in refused and f"Back to {own.reference}" in refused


def test_what_was_typed_for_a_hand_over_is_kept_until_it_is_offered(house, ana, maria):
    here = ana.here + "?act=contacts.hand_over"
    address = re.search(r'data-draft-url="([^"]*handover[^"]*)"', text_of(ana.get(here))).group(1)
    assert ana.post(address, text="She moves in March and").status_code == 204
    assert "She moves in March and" in text_of(ana.get(here))
    ana.do(ana.contact, "contacts.hand_over", to=house["ben"].pk, words="She moves in March and wants one bill")
    assert "She moves in March and" not in text_of(ana.get(here))


def test_beyond_a_lead_the_supervisor_is_asked_by_name(ana, maria):
    refused = text_of(ana.do(ana.contact, "credits.grant", account=maria.pk, amount="60", reason="goodwill"))
    assert ">Ask a supervisor</button>" in refused and "Ask a lead" not in refused
    ask(ana, maria, "60", words="Two weeks of trouble")
    assert "My supervisor is looking at it right now." in text_of(ana.get(ana.here))


def test_what_was_taken_back_needs_no_putting_away(ana, maria):
    asked = ask(ana, maria)
    ana.do(ana.contact, "approvals.withdraw", request=asked.pk)
    assert "Put away" not in text_of(ana.get(ana.here))


def test_a_trainee_who_may_give_nothing_asks_a_lead_with_the_forms_own_button(house, maria):
    tom = Browser(house["tom"])
    tom.contact = hold_contact(house["tom"], maria, "verified")
    form = text_of(tom.get(f"/contacts/{tom.contact.reference}/?act=credits.grant"))
    assert "You give none by yourself here: a lead says yes." in form and ">Ask a lead</button>" in form and "Grant the credit</button>" not in form
    answer = tom.do(tom.contact, "credits.grant", account=maria.pk, amount="10", reason="goodwill", words="Two bad days", asks="on")
    assert answer.status_code == 303, text_of(answer)
    request = Request.objects.get()
    assert (request.amount_minor, request.words, request.state) == (1000, "Two bad days", "waiting") and not Grant.objects.filter(granted_by=house["tom"]).exists()


def test_what_is_too_much_is_said_with_its_amount_and_not_with_two_signs(ana, maria):
    refused = text_of(ana.do(ana.contact, "credits.grant", account=maria.pk, amount="$30", reason="goodwill"))
    assert "$30.00 is too much. This reason leaves $25.00 for this event." in refused and 'value="30"' in refused
