"""The account on one page: asks the rooms once each and puts the answers into the shapes that the templates draw."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest
from django.urls import reverse
from django.utils import timezone

from careline.acts import table
from careline.acts.declare import Scene
from careline.acts.perform import refusal_of, resource, scene_for_page
from careline.carriers import lacking
from careline.domain.activations import queries as activations
from careline.domain.approvals import queries as approvals
from careline.domain.arrangements import queries as arrangements
from careline.domain.arrangements.rules import State as PromiseState
from careline.domain.contacts import queries as contacts
from careline.domain.contacts import rules as contact_rules
from careline.domain.contacts.rules import DraftKind
from careline.domain.credits import queries as credits
from careline.domain.customers import queries as customers
from careline.domain.customers.queries import care
from careline.domain.customers.rules.care import LANGUAGES, needs_of
from careline.domain.diagnosis import queries as diagnosis
from careline.domain.ledger import queries as ledger
from careline.domain.ledger import rules as ledger_rules
from careline.domain.network import queries as network
from careline.domain.rulebook import queries as rulebooks
from careline.doors.web import forms
from careline.doors.web.render import clock, zone
from careline.foundation.act import Level, Who
from careline.foundation.authority import Question
from careline.foundation.calendar import bill_period
from careline.foundation.refusal import Refusal

SECTIONS = (("cause", "Find the cause", "f"), ("money", "Money", "m"), ("lines", "Lines", "l"), ("care", "Care", "j"), ("time", "Timeline", "t"), ("notes", "Notes", "w"))
SHOWN = {code for code, _, _ in SECTIONS}
GROUPS = (
    ("Money", ("credits.grant", "payments.take", "payments.send_link", "arrangements.agree", "credits.reverse", "billing.add_promotion", "billing.add_extra", "billing.sell_in_instalments")),
    ("Contact", ("contacts.note", "contacts.reason", "contacts.hand_over", "contacts.drop")),
    ("Lines", ("lines.add_data", "lines.change_plan", "lines.set_feature", "lines.change_device", "lines.refresh_provisioning", "lines.reset_registration", "lines.suspend", "lines.restore")),
    ("Account care", ("customers.change_contact", "customers.change_address", "customers.set_pin", "customers.lock", "customers.unlock", "lines.change_sim", "lines.make_transfer_pin", "customers.add_person", "customers.set_preferences")),
)
FOLDED = {"Lines", "Account care"}  # long, and reached from their own sections and from the list of acts too
# Of these the ones that need nobody proven: reached from the bottom bar before that.
EARLY = ("contacts.reason", "contacts.hand_over", "contacts.drop")
BROKEN = frozenset({"line_suspended", "data_used_up", "network_trouble", "device_blocked"})  # something does not work: the cause is found from here
PAST_DUE = "past-due"  # the page of its own that a signal leads to
# Letters of acts; they must not collide with the page's own (see the templates).
KEYS = {"credits.grant": "c", "arrangements.agree": "a", "payments.take": "p", "payments.send_link": "k", "credits.reverse": "r",
        "contacts.note": "n", "contacts.reason": "s", "contacts.hand_over": "o", "contacts.drop": "d"}
LABELS = {
    "credits.grant": "Grant a credit",
    "payments.take": "Take a payment",
    "payments.send_link": "Send a payment link",
    "credits.reverse": "Take a credit back",
    "arrangements.agree": "Arrange payment",
    "arrangements.change": "Change the arrangement",
    "arrangements.cancel": "Cancel the arrangement",
    "arrangements.stop_charging": "Stop charging the parts",
    "contacts.note": "Add a note",
    "contacts.reason": "Say the reason",
    "contacts.hand_over": "Hand over",
    "contacts.drop": "The line dropped",
    "billing.add_promotion": "Add a promotion",
    "billing.add_extra": "Add an extra",
    "billing.sell_in_instalments": "Sell in instalments",
    "billing.pay_off": "Pay instalments off",
    "billing.end_agreed": "End an extra or discount",
    "collections.hold": "Hold what is collected",
    "collections.release": "Lift a hold",
    "collections.call_again": "Call again on a day",
    "ledger.allocate": "Say what pays what",
    "ledger.write_off": "Write off",
    "ledger.recover": "Take a write-off back",
    "payments.refund": "Give money back",
    "payments.switch_autopay": "Autopay on or off",
    "ledger.print_bill": "Make a bill as PDF",
    "ledger.send_bill": "Send a copy of a bill",
    "ledger.print_statement": "Make a statement as PDF",
    "ledger.send_statement": "Send a statement",
    "ledger.print_explanation": "Make an explanation as PDF",
    "lines.add_data": "Add data",
    "lines.change_plan": "Change the plan",
    "lines.set_feature": "Switch a feature",
    "lines.change_sim": "Change the SIM",
    "lines.change_device": "Another phone",
    "lines.make_transfer_pin": "Make a transfer PIN",
    "lines.refresh_provisioning": "Refresh on the network",
    "lines.reset_registration": "Reset registration",
    "lines.suspend": "Suspend a line",
    "lines.restore": "Restore a line",
    "customers.change_contact": "Change contact details",
    "customers.change_address": "Change the address",
    "customers.set_pin": "Set the PIN",
    "customers.clear_pin": "Take a forgotten PIN away",
    "customers.lock": "Lock the account",
    "customers.unlock": "Unlock the account",
    "customers.add_person": "Add an authorized person",
    "customers.change_person": "Change a person's rights",
    "customers.end_person": "End a person's rights",
    "customers.set_preferences": "Language and accessibility",
    "customers.set_consent": "Consent",
    "customers.separate_line": "Separate a survivor's line",
    "customers.place_legal_hold": "Place a legal hold",
    "customers.lift_legal_hold": "Lift a legal hold",
    "customers.redact": "Redact personal words",
}


@dataclass
class ContactPage:
    """One contact as its holder sees it now. Each question is asked once, and only when the page shows the answer."""

    scene: Scene
    who: Who
    at: datetime

    @property
    def row(self) -> Any:
        return self.scene.contact

    @property
    def account_id(self) -> int:
        return int(self.row.account_id)

    @property
    def today(self) -> date:
        return self.at.astimezone(zone()).date()

    @cached_property
    def cycle(self) -> tuple[date, date]:
        return bill_period(self.row.account.bill_day, self.today)

    @cached_property
    def lines(self) -> list[Any]:
        return customers.lines_of(self.account_id, self.cycle[0])

    @cached_property
    def bills(self) -> list[ledger.OpenBill]:
        return ledger.bills_of(self.account_id, 18)

    @cached_property
    def all_bills(self) -> list[ledger.OpenBill]:
        """Every bill that stands, newest first: `bills` are what most pages need of them."""
        return ledger.bills_of(self.account_id)

    @cached_property
    def statement(self) -> ledger.Statement:
        return ledger.statement(self.account_id)

    @cached_property
    def standing(self) -> ledger_rules.Standing:
        return ledger_rules.standing(ledger.open_items(self.bills), self.statement.balance_minor, self.today)

    @cached_property
    def arrangement(self) -> arrangements.Standing | None:
        """The account's newest promise to pay, alive or ended, while anything is past due: else there is none to show, and
        nothing is asked."""
        return arrangements.newest(self.account_id, self.today) if self.standing.past_due_minor else None

    @property
    def promised(self) -> arrangements.Standing | None:
        """The promise to pay that holds what is past due today."""
        found = self.arrangement
        return found if found is not None and found.row.state == found.progress.state == PromiseState.ALIVE else None

    @cached_property
    def charges(self) -> list[Any]:
        return ledger.charges_of(self.account_id) if self.row.charge_state == "declined" else []

    @cached_property
    def people(self) -> list[Any]:
        return customers.people_of(self.account_id)

    @cached_property
    def notes(self) -> list[Any]:
        return contacts.notes_of(self.account_id)

    @cached_property
    def recent(self) -> list[contacts.Recent]:
        """The account's other contacts of the last month."""
        return contacts.recent_of_account(self.account_id, self.at - timedelta(days=30), but=self.row.pk)

    def also_here(self) -> list[str]:
        """Colleagues who have this account open in a contact of their own."""
        return [
            f"{c.holder} has this account open since {clock(c.began)}"
            for c in self.recent
            if c.state in contact_rules.OPEN and c.holder and str(c.holder_id) != self.who.id
        ]

    @cached_property
    def requests(self) -> list[Any]:
        return approvals.of_contact(self.row.pk, self.row.account_id)

    @cached_property
    def credited(self) -> dict[tuple[int, datetime], int]:
        return credits.totals_of(self.row.pk)

    @cached_property
    def address(self) -> str:
        return forms.contact_address(self.row.reference)

    def url(self, query: str = "") -> str:
        return self.address + query

    def do_url(self, code: str) -> str:
        return reverse("contact-do", args=[self.row.reference, code])

    def refused(self, code: str) -> Refusal | None:
        """Why this act is not possible now, whatever its form will say; None when it is."""
        rulebook = self.scene.rulebook
        facts = {"basis": dict(self.scene.facts), **table.act(code).opened(self.scene, self.at)}
        verdict = rulebook.authority.decide(Question(self.who, code, resource(self.row.account_id), facts))
        return self.not_set_up(code) if verdict.allowed else refusal_of(code, verdict, rulebook, self.who)

    @staticmethod
    def not_set_up(code: str) -> Refusal | None:
        """The outside system that this act needs and that nobody named at this desk."""
        say = lacking(*table.act(code).ports)
        return Refusal("CONFLICT", say, rule="not-set-up") if say else None

    def nothing_to(self, code: str) -> Refusal | None:
        """What this act would be done to is not there: nothing past due to arrange, no credit to take back, no line to restore."""
        states = {line.status for line in self.lines}
        say = {
            "arrangements.agree": "" if self.standing.past_due_minor else "Nothing is past due.",
            "credits.reverse": "" if self.statement.credits else "This account has no credit to take back.",
            "lines.restore": "" if "suspended" in states else "No line is suspended.",
            "lines.suspend": "" if "active" in states else "No line is active.",
        }.get(code, "")
        return Refusal("CONFLICT", say, rule="nothing-there") if say else None

    # -- the header ---------------------------------------------------------------------------------------------

    def contact(self) -> dict[str, Any]:
        row, level = self.row, Level(self.scene.basis.level)
        names = {0: "none", 1: "identified", 2: "wrapup", 3: "verified", 4: "strong"}
        labels = {0: "No account", 1: "Not verified", 2: "Wrap-up", 3: "Verified", 4: "Strong"}
        titles = {"pin": "PIN", "code": "code", "callback": "call back"}
        how = " and ".join(titles[f] for f in row.proven)
        idle = self.scene.rulebook.limits["contact"]["idle_minutes"]
        proven = level >= Level.VERIFIED
        if level == Level.IDENTIFIED and row.level >= Level.VERIFIED and row.state in ("live", "held"):
            how = f"over after {idle} quiet minutes: verify again"
        elif not proven:
            how = ""
        held = row.state == "held"
        return {
            "id": str(row.pk),
            "state": {"wrap_up": "wrapup", "dropped": "held"}.get(row.state, row.state),
            "channel": {"voice": "call", "chat": "chat", "message": "chat"}.get(row.channel, "none"),
            "caller_number": row.caller_number or None,
            "inbound": row.inbound,
            "early": [{"label": LABELS[code], "href": self.url(f"?act={code}"), "key": KEYS[code]} for code in EARLY],
            "since_seconds": contacts.running_seconds(row, self.at),
            "held_seconds": None,
            "held_label": "line down" if row.state == "dropped" else "on hold",
            "level": names[level],
            "level_label": labels[level],
            "level_how": f"{how}, {clock(row.level_at)}" if proven and row.level_at else how or None,
            "level_ends": f"ends after {idle} quiet minutes" if proven else None,
            "strong": self._strong(level),
            "hold": {
                "label": "Take off hold" if held else "Hold",
                "action": self.do_url("contacts.resume" if held else "contacts.hold"),
                "key": forms.new_key(),
            }
            if row.state in ("live", "held")
            else None,
            "end_href": self.url("?act=contacts.end") if row.state in ("live", "held", "dropped") else None,
            "note_href": self.url("?section=notes"),
            "journal_href": reverse("journal", args=[row.reference]) if level >= Level.WRAP_UP else None,
        }

    @cached_property
    def never_strong(self) -> str:
        """Why this caller cannot be made strong by any factor, or nothing."""
        ages = [self.at - line.held_since for line in self.lines if line.status in ("active", "suspended")]
        pin_age = self.at - self.row.pin_set_at if self.row.pin_set_at else None
        return contact_rules.never_strong(pin_age, ages, self.scene.rulebook.verification["level"]["strong_number_hours"])

    def _strong(self, level: Level) -> dict[str, Any] | None:
        """The way from verified to strong, or why there is none."""
        if level != Level.VERIFIED or self.row.state not in ("live", "held") or not self.scene.facts["mine"]:
            return None
        if self.never_strong:
            return {"label": self.never_strong, "href": None}
        return {"label": "prove one more factor", "href": self.url("?verify=more")}

    def who_calls(self) -> dict[str, Any] | None:
        row = self.row
        if row.account_id is None:
            return None
        customer = row.account.customer
        seen = self.scene.basis.level >= Level.WRAP_UP
        name = row.person.name if row.person and not seen else customer.name
        language = LANGUAGES.get(customer.language, customer.language) if customer.language not in ("", "en") else None
        caller = {"holder": "caller is the holder" if row.person is None or row.person.name == customer.name else f"caller is {row.person.name}, the holder", "authorized": f"caller is {row.person.name if row.person else 'authorized'}, authorized"}
        flags = []
        if row.account.protected_at:
            flags.append({"text": "protected: confirm nothing to anybody else", "state": "risk"})
        if seen and row.account.staff_marked:
            flags.append({"text": "staff account", "state": "risk"})
        if seen and customer.synthetic and not settings.DEMO:  # in the demo everybody is
            flags.append({"text": "name and number made up by the import", "state": ""})
        if seen and self.row.account.status != "active":
            flags.append({"text": self.row.account.status, "state": "bad"})
        return {
            "name": name,
            "account_reference": row.account.reference,
            "language": f"prefers {language}" if language else None,
            "needs": needs_of(customer.needs),
            "likes": customer.likes if seen else None,
            "since": str(customer.since.year) if seen and customer.since else None,
            "caller_is": caller.get(self.scene.facts["caller"]) if seen else None,
            "lines_count": len(self.lines) if seen and "lines" in self.__dict__ else None,
            "locks": [said for on, said in ((row.account.change_lock, "locked against SIM change"), (row.account.port_lock, "locked against port-out")) if seen and on],
            "flags": flags,
        }

    # -- the account --------------------------------------------------------------------------------------------

    @cached_property
    def walks(self) -> list[Any]:
        """The searches for a cause that have no end yet."""
        return diagnosis.open_of(self.account_id)

    @cached_property
    def _of_lines(self) -> list[customers.Signal]:
        return customers.signals(lines=self.lines, at=self.at)

    @cached_property
    def _not_paid(self) -> set[int]:
        return {line.pk for line in self.lines if line.status == "suspended" and line.suspended_for == "non_payment"}

    @cached_property
    def troubles(self) -> list[customers.Signal]:
        """What does not work for them, whatever they owe: what is wrong where they live, a search without an end, a phone that no network lets in, data
        that is used up, a line that is off for another reason."""
        found = [s for s in self._of_lines if s.code in BROKEN and s.line not in self._not_paid]
        found += diagnosis.signals(self.walks)
        working = next((line.pk for line in self.lines if line.status == "active"), None)
        if working is not None and self.row.troubled:
            found += network.signals(self.row.account.postal_code, self.row.account.zone, working, self.at)
        return found

    @property
    def second(self) -> bool:
        """Whether the money comes second: they called in, and something of theirs does not work."""
        return bool(self.row.inbound and self.troubles)

    def probably(self) -> list[dict[str, Any]]:
        recent = self.recent
        found = [s for s in self._of_lines if s not in self.troubles] + self.troubles
        found += ledger.signals(
            bills=self.bills, standing=self.standing, charges=self.charges, entries=self.statement.entries, today=self.today, at=self.at
        )
        found += contacts.signals(recent, self.at)
        found += care.signals(self.row.account, self.row.pin_set_at, self.at, int(self.scene.rulebook.care.get("credentials", {}).get("unlock_hours", 24)), self.row.began)
        if self.scene.rulebook.object_minutes:
            found += activations.signals(activations.leaving(self.row.account.pk))
        if self.promised is not None and self.promised.progress.left_minor >= self.standing.past_due_minor:
            found = [s for s in found if s.code != "past_due"]  # it is arranged: nobody asks for it again
        found += arrangements.signals(self.arrangement, self.today)
        states = {"arrangement_broken": "bad", "arrangement_due": "risk", "past_due": "bad", "line_suspended": "bad", "payment_failed": "bad", "payment_returned": "bad", "data_used_up": "risk", "repeat_contact": "risk", "sim_changed": "risk", "network_trouble": "risk", "care_changed": "risk", "number_leaving": "bad", "cause_open": "risk", "device_blocked": "bad"}
        links = {"payments.take": "take a payment"}
        sections = {"money": "look", "lines": "look", "time": "read"}
        second = self.second
        def way(s: customers.Signal) -> tuple[str, str]:
            if s.code == "past_due" or (s.code == "line_suspended" and s.line in self._not_paid):
                return PAST_DUE, "why, and what to do"
            if s.code == "cause_open":
                return f"?section=cause{f'&line={s.line}' if s.line else ''}", "go on"
            if s.code in BROKEN and s.line:
                return f"?section=cause&line={s.line}", "find the cause"
            if s.code == "bill_jumped":
                return f"?section=money&explain={self.bills[0].id}", "explain"
            if s.code == "number_leaving":
                return "?section=care&act=customers.lock&what=port", "lock it"
            if s.code == "arrangement_broken":
                return "?act=arrangements.agree", "arrange again"
            if s.act:
                return f"?act={s.act}", links.get(s.act, "look")
            return f"?section={s.section or 'money'}", sections.get(s.section, "look")

        return [
            {
                "title": s.title,
                "text": f"{s.say} It comes second: first what does not work." if second and s.code == "past_due" else s.say,
                "amount": None,
                "state": None if second and s.code in customers.OWED else states.get(s.code),
                "href": reverse("past-due", args=[self.row.reference]) if way(s)[0] == PAST_DUE else self.url(way(s)[0]),
                "link": way(s)[1],
            }
            for s in customers.ordered(found, self.troubles if self.row.inbound else [])[:6]
        ]

    def balance(self) -> dict[str, Any]:
        standing = self.standing
        account = self.row.account
        next_bill = self.cycle[1] + timedelta(days=1)
        due = self.promised.progress.next if self.promised else None
        return {
            "balance": standing.balance_minor,
            "due": standing.next_due_on,
            "later": standing.next_due_minor,
            "past_due": standing.past_due_minor,
            "calm": self.second,
            "past_due_since": standing.past_due_since,
            "next_bill": {"on": next_bill, "href": self.url("?section=money&explain=next") if self.bills else None} if any(n.status != "cancelled" for n in self.lines) else None,
            "autopay": {"last4": self.row.card, "on": None if self.promised else standing.next_due_on, "waits": self.promised is not None} if account.autopay and self.row.card else None,
            "promise": {"amount": due.left_minor, "on": due.due_on, "state": None if due.due_on > self.today else "risk"} if due else None,
            "hold": None,
            "moves": [
                {"label": label, "href": self.url(f"?act={code}")}
                for code, label in (("payments.take", "take a payment"), ("payments.send_link", "send a payment link"))
                if self.not_set_up(code) is None
            ]
            + ([{"label": "arrange payment", "href": self.url("?act=arrangements.agree")}] if standing.past_due_minor and not self.promised else []),
            "explain": self.url(f"?section=money&explain={self.bills[0].id}") if len(self.bills) > 1 else None,
        }

    def notes_shape(self, wide: bool, form: dict[str, Any] | None = None) -> dict[str, Any]:
        notes = [{"text": n.text, "by": n.author.name, "at": n.at, "pinned": n.pinned,
                  "pin": forms.button("Unpin" if n.pinned else "Pin", self.do_url("contacts.pin_note"),
                                      account=self.account_id, note=n.pk, pinned="" if n.pinned else "on")} for n in self.notes]
        recent = [n for n in notes if not n["pinned"]]
        return {
            "form": form or self.note_form(),
            "pinned": [n for n in notes if n["pinned"]],
            "recent": recent if wide else recent[:3],
            "more_href": self.url("?section=notes") if not wide and len(recent) > 3 else None,
        }

    def note_form(self) -> dict[str, Any]:
        return forms.form(
            "note", "Note", "Save note", self.do_url("contacts.note"),
            [
                forms.hidden("account", self.account_id),
                forms.field("words", "New note", "textarea", self.row.note_draft or None, rows=3, maxlength=4000,
                            placeholder="What the next colleague should know", draft_url=self.draft_url(DraftKind.NOTE)),
                forms.field("pinned", "Pin it to the top", "checkbox", False, required=False),
            ],
        )

    def draft_url(self, kind: DraftKind) -> str:
        """Where typed words are kept: with the account on whose page they were typed, wherever the contact moves."""
        return reverse("draft", args=[self.row.reference, kind, self.row.account_id or 0])

    def may(self) -> dict[str, Any]:
        """What is possible now and why the rest is not, asked of authority in one batch."""
        authority = self.scene.rulebook.authority
        kinds = [table.act(code) for _, codes in GROUPS for code in codes]
        questions = [
            Question(self.who, k.code, resource(self.account_id), {"basis": dict(self.scene.facts), **k.opened(self.scene, self.at)})
            for k in kinds
        ]
        verdicts = dict(zip((k.code for k in kinds), authority.decide_many(questions), strict=True))
        groups = []
        for title, codes in GROUPS:
            rows = []
            for code in codes:
                verdict = verdicts[code]
                no = self.nothing_to(code) or self.not_set_up(code) if verdict.allowed else refusal_of(code, verdict, self.scene.rulebook, self.who)
                rows.append(
                    {"label": LABELS[code], "href": self.url("?section=notes" if code == "contacts.note" else f"?act={code}") if no is None else None, "key": KEYS.get(code),
                     "possible": no is None, "why": no.say if no else None,
                     "who_could": list(no.who_could) if no else []}
                )
            groups.append({"title": title, "folded": title in FOLDED, "acts": rows})
        return {"limits": [], "acts": groups, "people": self._people()}

    def _people(self) -> list[dict[str, Any]]:
        def words(p: Any) -> str:
            if p.right == "holder":
                return "holder"
            what = [w for w, yes in (("money", p.may_money), ("service", p.may_service)) if yes]
            until = f" until {p.until:%b} {p.until.day}" if p.until else ""
            return f"authorized: {' and '.join(what) or 'may ask only'}{until}"

        return [{"name": p.person.name, "may": words(p), "calling": p.person_id == self.row.person_id} for p in self.people]

    def sections(self, current: str) -> list[dict[str, Any]]:
        return [
            {"code": code, "label": label, "href": self.url(f"?section={code}"), "key": key, "current": code == current}
            for code, label, key in SECTIONS
        ]


def page_of(row: Any, who: Who, rulebook: Any) -> ContactPage:
    """The page of a contact for a principal, now."""
    now = timezone.now()
    return ContactPage(scene_for_page(row, who, rulebook, now), who, now)


def contact_of(reference: str) -> Any:
    """The contact of this reference; 404 where there is none."""
    row = contacts.contact(reference=reference) if reference.isprintable() else None
    if row is None:
        raise Http404
    return row


def opened(request: HttpRequest, reference: str, *, with_account: bool = False) -> ContactPage:
    """The page of a contact for whoever asks; if they hold it, the whole request knows. 404 where there is none, or none that
    has an account yet."""
    row = contact_of(reference)
    if with_account and row.account_id is None:
        raise Http404
    request.careline_contact = row if str(row.holder_id) == request.user.who.id else None
    return page_of(row, request.user.who, rulebooks.current())
