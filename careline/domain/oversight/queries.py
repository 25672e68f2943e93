"""Who opened what, and patterns of the last weeks that are worth a look, with their evidence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from careline.domain.approvals import queries as approvals
from careline.domain.journal import queries as journal
from careline.domain.oversight import rules
from careline.domain.oversight.models import Opening
from careline.domain.staff import queries as staff


def opening(opening_id: int) -> Opening | None:
    return Opening.objects.select_related("account__customer", "staff").filter(pk=opening_id).first()


def openings(most: int = 30) -> list[Opening]:
    """The latest openings; those that nobody took note of first."""
    rows = Opening.objects.select_related("account", "staff", "noted_by").order_by("-at")[:most]
    return sorted(rows, key=lambda row: (row.kind != rules.Kind.GLASS or row.noted_at is not None, -row.at.timestamp()))


def patterns(policy: Mapping[str, Any], since: datetime) -> list[rules.Pattern]:
    """What is worth a look since a moment, the most first: of everything that was done and seen, however much. A constant number of questions."""
    people = staff.everybody()
    keys = [p.who.key for p in people]
    given = [_given(d) for d in journal.decided("credits.grant", since)]
    looks = ((seen.who, seen.at, seen.line, seen.acted) for seen in journal.opened_on(keys, ["view.account", "view.money"], since))
    looked = rules.looked_only(looks, policy["looks_least"], policy["looks_percent"])
    searched = rules.too_much(journal.searches(keys, since, policy["search_hits"]), policy["search_hits"], policy["search_least"])
    teams = {str(p.pk): p.team_id for p in people}
    names = {str(p.pk): p.name for p in people}
    decided = [
        (f"Staff:{asker}", f"Staff:{decider}", names.get(str(decider), "?"), at, teams.get(str(asker)) is not None and teams.get(str(asker)) == teams.get(str(decider)), account)
        for asker, decider, at, account in approvals.agreed_since(since)
    ]  # fmt: skip
    accounts = journal.accounts_of([line for p in looked for _, line, _ in p.lines])
    for pattern in looked:
        pattern.evidence = [rules.Evidence(at, "account page opened", accounts.get(line)) for at, line, _ in pattern.lines]
    typed = journal.typed([line for p in searched for _, line, _ in p.lines])
    for pattern in searched:
        pattern.evidence = [rules.Evidence(at, f"{what} for “{typed[line]}”" if typed.get(line) else what) for at, line, what in pattern.lines]
    found = [
        *rules.just_under(given, policy["just_under_percent"], policy["just_under_least"]), *rules.one_account(given, policy["one_account_least"]), *rules.tied(given),
        *looked, *searched, *rules.same_yes(decided, policy["same_yes_least"], policy["same_yes_percent"]),
    ]  # fmt: skip
    return sorted(found, key=lambda p: (-p.count, p.kind, p.staff_id))


def _given(row: Any) -> rules.Given:
    facts = row.fact_data
    credit = facts.get("credit", {})
    return rules.Given(row.at, row.who, row.account_id, int(credit.get("amount", 0)), rules.room_of(credit) if credit else 0, facts["basis"].get("ownBusiness", "none") != "none")
