"""The story accounts: named people with a reason to call, and what they lived through at the desk in the last weeks.

`STORIES` needs no database: the demo's telephone lists it, in the words of `told`. `households` drafts their accounts; `plan` is their past,
deed by deed; `present` is what waits for somebody right now.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction

from careline.acts.declare import BasisRef
from careline.domain.approvals import operations as approvals
from careline.domain.billing import operations as billed
from careline.domain.billing import queries as billing_queries
from careline.domain.contacts import queries as contacts
from careline.domain.customers import operations as customer_operations
from careline.domain.customers import queries as customers
from careline.domain.ledger import queries as ledger
from careline.doors.jobs import billing, night, promises, worker
from careline.doors.jobs.demo import names, troubles
from careline.doors.jobs.demo.carrier import DUE_DAYS, House, LineDraft, PersonDraft, Stock, bill_days, moment
from careline.doors.jobs.demo.desk import DEMO, DemoFault, Known, Run, Seat
from careline.foundation.act import NO_BASIS, Act
from careline.foundation.calendar import add_months, bill_period
from careline.foundation.money import shown

OFF_AFTER = 61  # days past due on which service ends
FIRST_NIGHT = 26  # days ago: the first of the nights that everybody lives through
# Days ago: nights for those alone who stopped paying long before. Each of them finds its gaps over on the nights that it needs.
NIGHTS_BEFORE = (125, 118, 112, 104, 97, 91, 76, 67, 61, 46, 27)

WAITS = timedelta(days=365)  # a story's request waits until a visitor comes


@dataclass(frozen=True)
class Story:
    """Somebody who may call: the telephone rings with `number`; `say` is what they want (see `told`), `pin` what they answer,
    `words` how they say it where something does not work."""

    key: str
    title: str
    number: str
    pin: str
    say: str
    state: str = "WA"
    reference: str = ""
    plans: tuple[str, ...] = ("PLUS15",)
    house: dict[str, Any] = field(default_factory=dict)
    more: tuple[PersonDraft, ...] = ()
    words: str = ""
    late: int | None = None


def _n(last: int, area: str = "206") -> str:
    return f"+1{area}555{last:04d}"


STORIES: tuple[Story, ...] = (
    Story("maria", "Maria Okafor", _n(188), "4711", "Her bill is up {up} and she wants to know why. Prefers Spanish, hard of hearing; she called {called} too.",
          reference="A-0104822", plans=("PLUS15", "PLUS15", "WATCH"),
          house={"language": "es", "needs": "Hard of hearing: speak slowly, confirm amounts by text", "likes": "Written summaries by email", "autopay": True}),
    Story("jae", "Jae-won Kim", _n(142, "425"), "2580", "His autopay failed and he got a notice. He wants to pay now, if possible with another card.",
          house={"autopay": True, "pays": "stopped", "unpaid": 2, "language": "ko", "method": "declined"}),
    Story("daniel", "Daniel Whitlock, for Priya Raman", _n(117), "8246", "He asks for a credit on his wife's account. He may ask about service, not about money.",
          plans=("UNLIMITED", "UNLIMITED"), more=(PersonDraft("Daniel Whitlock", "authorized", False, True),), house={"name": "Priya Raman"}),
    Story("zoe", "Olu Adeyemi", _n(163, "253"), "1590", "His daughter Zoe's phone has no data any more, and the month is not over.", plans=("PLUS15", "KIDS3", "PLUS5"),
          words="Zoe's phone has had no internet since yesterday. And the month is not over."),
    Story("travis", "Travis Boone", _n(104, "512"), "3322", "His phone does not ring out: the line is suspended, {open} bills are open. He can pay a part today.",
          state="TX", house={"pays": "stopped", "unpaid": 3},
          words="My phone has no bars at all, I can't even call my new boss."),
    Story("ingrid", "Ingrid Halvorsen", _n(171, "612"), "6060", "She paid twice by mistake and asks what becomes of the money.", state="MN", house={"pays_twice": True}),
    Story("frank", "Frank Delgado", _n(155, "213"), "9137", "Third time this week: a credit that he was promised is not there. He is angry.", state="CA", plans=("UNLIMITED",),
          words="Two days without any service at home, and nobody has paid me a cent for it."),
    Story("nomvula", "Nomvula Dlamini", _n(129, "404"), "9043", "She tried three wrong PINs; the PIN is locked until tomorrow. Offer a code or a call back.", state="GA"),
    Story("katya", "Katya Morozova", _n(133), "7412", "New number and SIM since yesterday: a code to it verifies her, but not strongly.", plans=("PREMIUM",), house={"language": "ru"},
          words="I put the new card in yesterday and I still can't get texts from my bank."),
    Story("hector", "Héctor Ruiz", _n(146, "480"), "5150", "He speaks for two accounts, his own and his firm's: ask which.", state="AZ", plans=("PLUS5",), house={"language": "es"}),
    Story("ruiz", "Ruiz Landscaping LLC", _n(147, "480"), "5151", "The other account of Héctor Ruiz: three business lines.", state="AZ",
          plans=("BUSINESS", "BUSINESS", "BUSINESS"), house={"kind": "business", "name": "Ruiz Landscaping LLC"}),
    Story("glenn", "Glenn Pruitt", _n(124, "503"), "4004", "His old number belongs to somebody else now: the line was cancelled two months ago.", state="OR"),
    Story("aaliyah", "Aaliyah Brooks", _n(123, "503"), "4141", "She gets calls for Glenn: her number was another customer's until two months ago.", state="OR", plans=("UNLIMITED",)),
    Story("james", "James Nguyen, Tacoma", _n(136, "253"), "2001", "There are two people of this name. This one wants a cheaper plan.", plans=("PREMIUM",)),
    Story("james2", "James Nguyen, Bellevue", _n(137, "425"), "2002", "There are two people of this name. This one asks about his last payment."),
    Story("heron", "Blue Heron Catering", _n(110), "6789", "Twelve lines; one phone was left in a taxi. The office manager calls.", plans=("BUSINESS",) * 12,
          house={"kind": "business", "name": "Blue Heron Catering"}, more=(PersonDraft("Nadia Petrov", "authorized", True, True),),
          words="Our driver left his phone in a taxi. Can you make sure that nobody uses it?"),
    Story("silva", "Ana Silva, who works here", _n(181), "3141", "A colleague's own account: nobody opens it alone, and she not at all."),
    Story("park", "Soo-jin Park, Lena's mother", _n(182), "2718", "A relative of the lead: Lena may not touch this account.", plans=("PLUS5",), house={"language": "ko"}),
    Story("walter", "Walter Przybylski", _n(158, "312"), "", "He never set a PIN. Verify him by a code or a call back.", state="IL", plans=("BASIC2",),
          house={"needs": "Needs time: one step at a time"}),
    Story("angeles", "María de los Ángeles Fernández-Villaverde y Ortiz de Zárate", _n(166, "305"), "1212", "A very long name; she asks for a copy of her last bill.", state="FL", house={"language": "es"}),
    Story("siobhan", "Siobhán O'Sullivan-D'Arcy", _n(167, "617"), "4321", "Apostrophes, accents, hyphens: she asks whether her name is spelt right.", state="MA"),
    Story("li", "李秀英 (Li Xiuying)", _n(168, "415"), "8888", "Her name is written in Chinese. She is in Vancouver with roaming off, on the line and on the phone. Prefers Chinese.", state="CA", house={"language": "zh"},
          words="I am in Vancouver and my phone finds no internet here. At home it was fine."),
    Story("oleksandr", "Олександр Шевченко", _n(169), "5678", "His name is written in Cyrillic; his phone shows no network.", plans=("PLUS5",), house={"language": "uk"},
          words="There is no network on my phone again."),
    Story("jensen", "Beth Jensen, for Harold Jensen", _n(175, "206"), "1950", "Harold died; his daughter is the executor. Read the pinned note first.", plans=("BASIC2",),
          house={"name": "Harold Jensen"}, more=(PersonDraft("Beth Jensen", "authorized", True, True),)),
    Story("marcus", "Marcus Feld", _n(119), "0007", "Customer since yesterday: no bill yet. He asks when the first one comes.", plans=("UNLIMITED",)),
    Story("dolores", "Dolores Castillo", _n(151, "915"), "7777", "A credit was given twice and one taken back. She asks why.", state="TX", house={"language": "es"}),
    Story("kwame", "Kwame Boateng", _n(152, "718"), "4747", "Wanted to leave; a lead granted less than was asked. He thinks about it.", state="NY", plans=("PREMIUM", "PLUS15")),
    Story("chloe", "Chloe Bennett", _n(153, "303"), "1357", "A credit was declined by the lead. She asks again.", state="CO"),
    Story("rosa", "Rosa Jiménez", _n(154), "2468", "On the line with Ben: a credit above his limit waits for a lead.", plans=("UNLIMITED", "UNLIMITED"), house={"language": "es"}),
    Story("peter", "Peter Kowalczyk", _n(156, "773"), "3690", "His call with Eva dropped some minutes ago; he will call back.", state="IL",
          words="We were cut off. The internet on my phone still crawls, like I said to the lady."),
    Story("amira", "Amira Haddad", _n(157), "8520", "Was handed over from Tom to Eva last week; she asks how it ended.", plans=("PLUS15", "TABLET10"), house={"language": "ar"},
          words="The tablet has bars, but every evening nothing loads."),
    Story("grace", "Grace Whitfield", _n(159, "206"), "7531", "Deaf: chat or texts only. Her watch does not ring.", plans=("UNLIMITED", "WATCH"), house={"needs": "Deaf: chat or texts only"},
          words="My watch does not ring when somebody writes to me."),
    Story("linh", "Trần Thị Linh", _n(161), "9517", "Her saved card has expired; she paid by link and wants to save the new card.", house={"language": "vi", "pays": "stopped", "unpaid": 2, "method": "expired"}),
    Story("brenda", "Brenda Cole", _n(162, "813"), "6543", "Had goodwill often: an associate has nothing left to give her this year.", state="FL"),
    Story("banks", "Tyrone Banks, for Loretta Banks", _n(164, "404"), "1122", "His right to speak for his mother ended last month: now he is a stranger.", state="GA",
          house={"name": "Loretta Banks"}, more=(PersonDraft("Tyrone Banks", "authorized", True, True),)),
    Story("miguel", "Miguel Santos", _n(165, "619"), "3579", "Pays in parts, and paid the last part by a link yesterday.", state="CA", house={"pays": "in parts"}),
    Story("hannah", "Hannah Eriksen", _n(101), "2121", "There is an outage where she lives. Nothing on her phone is wrong: hand over, change nothing.", plans=("UNLIMITED",),
          words="I have had no bars for an hour or two, and the lady next door has none either."),
    Story("wendell", "Wendell Price", _n(102, "312"), "8080", "Airplane mode is on since his flight, and he is sure that it is off.", state="IL", plans=("PLUS5",),
          words="There is no service on my phone since I came home from my trip."),
    Story("renata", "Renata Kovač", _n(103, "303"), "6161", "Two causes at once: data saver and a VPN. Her phone says so from afar.", state="CO", plans=("UNLIMITED",),
          words="The internet on my phone is so slow that videos never start. At home on Wi-Fi it is fine."),
    Story("naledi", "Naledi Mokoena", _n(105, "617"), "9090", "Her SIM is locked after ten wrong PINs: it needs the PUK.", state="MA",
          words="It wants a PUK code from me and I have no idea what that is."),
    Story("cody", "Cody Lambert", _n(106, "602"), "1313", "His second-hand phone is on the block list. No step of his can help.", state="AZ", plans=("PLUS5",),
          words="I bought this phone on the internet, put my card in, and it just says no service."),
    Story("elif", "Elif Aydın", _n(107, "718"), "7070", "The network missed the last change of her line: refresh it.", state="NY", plans=("PREMIUM",),
          words="Since my plan was changed last week, pages do not load any more. I have full bars."),
    Story("bao", "Bao Phan", _n(108, "714"), "4545", "Nothing is wrong in our books; his phone is not known to the device feed. Ask him.", state="CA",
          words="My mother's calls go straight to the mailbox, my phone does not even ring."),
    Story("ruth", "Ruth Abernathy", _n(109), "5309", "Three things raised her bill at once: a plan changed in mid-month, a late fee, a new phone's first instalment. Explain it (X).",
          plans=("UNLIMITED",), house={"pays": "late"}),
    Story("ines", "Inés Valdez", _n(122, "314"), "2626", "Calls of the month before last are on her new bill, and taxes of a city and of a district. She asks what each of them is (X).",
          state="MO", plans=("BASIC2",), house={"town": "63105", "language": "es"}),
    Story("dale", "Dale Hutchins", _n(123, "636"), "2727", "He lives in a town that the tax table does not know: only the state's tax is on his bill. He asks whether the city's is still to come.",
          state="MO", plans=("PLUS5",), house={"town": "65201"}),
    Story("lucia", "Lucía Marchetti", _n(111, "206"), "6464", "She pays in two parts as she agreed last week, and asks when the second one is due.",
          house={"language": "es", "pays": "stopped", "unpaid": 2}),
    Story("omar", "Omar Siddiqui", _n(112, "312"), "3939", "His arrangement broke: the second part did not come. He lost a shift and wants another one (A).", state="IL",
          house={"pays": "stopped", "unpaid": 2}),
    # One for each rung of the ladder. `late`: how many days ago the oldest bill that is open fell due; what came after is the night's.
    Story("petra", "Petra Lindgren", _n(113), "1414", "A reminder came by text: her bill is due in a day or two. Is it paid by itself?", late=-2),
    Story("samir", "Samir Haddou", _n(114, "312"), "1515", "His calls do not go out since {barred}. What is it, and what does it cost to have them back?", state="IL", late=20,
          words="I can be called, but I cannot call anybody any more."),
    Story("gwen", "Gwen Osterman", _n(115, "503"), "1616", "Her service is suspended: what to pay now, to the cent, and how fast it is back.", state="OR", late=40),
    Story("victor", "Victor Almeida", _n(116, "617"), "1717", "His lines were disconnected two weeks ago and the last bill is coming; he calls from another phone, find him by name.", state="MA", plans=("PREMIUM",), late=77),
    Story("doris", "Doris Kettleman", _n(118, "404"), "1818", "An agency wrote to her. Her account is with it: find her by name.", state="GA", plans=("PREMIUM",), late=108),
    Story("emil", "Emil Novotny", _n(120, "720"), "1919", "What he owed was written off; he wants to pay after all and come back. Find him by name.", state="CO", plans=("PREMIUM",), late=128),
    Story("farah", "Farah Aziz", _n(121, "602"), "2020", "She disputes her oldest bill: it is held, and her line, which was limited, is back.", state="AZ", late=24),
    Story("oskar", "Oskar Lindahl", _n(125, "612"), "2323", "He disputed a bill a month ago and heard nothing since. A lead finds his hold under “Past due”: it is to be looked at again.", state="MN", late=40),
    Story("noor", "Noor El-Amin", _n(127, "415"), "2424", "A text said that her number leaves for another carrier today. She asked for nothing: lock it (Care) before it goes, and it stays.", state="CA",
          words="I got a text that my number is going to another company. I never asked for that!"),
)
_FEW = ("no", "one", "two", "three", "four")


def told(story: Story, today: date) -> str:
    """What a story's caller wants, with its figures and days as they stand in the house now."""
    if "{" not in story.say:
        return story.say
    hit = next(iter(customers.by_caller_number(story.number)), None)
    if hit is None:
        return story.title
    bills = ledger.bills_of(hit.account_id)
    unpaid = sum(1 for b in bills if b.open_minor > 0)
    before = next(iter(contacts.recent_of_account(hit.account_id, datetime.now(UTC) - timedelta(days=400), but=0)), None)
    line = next((x for x in customers.numbers_of_record(hit.account_id) if x.msisdn == story.number), None)
    zone = ZoneInfo(settings.CARRIER_ZONE)
    return story.say.format(
        up=shown(bills[0].total_minor - bills[1].total_minor) if len(bills) > 1 else "",
        called=_day_word(before.began.astimezone(zone).date(), today) if before else "before",
        open=_FEW[unpaid] if unpaid < len(_FEW) else unpaid,
        barred=_day_word(line.status_since, today) if line and line.status_since else "lately",
    )


def _day_word(day: date, today: date) -> str:
    days = (today - day).days
    return {0: "today", 1: "yesterday"}.get(days, f"{_FEW[days] if days < len(_FEW) else days} days ago")


BY_KEY = {story.key: story for story in STORIES}


# ------------------------------------------------------------------ their accounts


def households(today: date, stock: Stock) -> dict[str, House]:
    """The story accounts as they were before the last weeks, by key."""
    return {story.key: _household(i, story, today, stock) for i, story in enumerate(STORIES)}


def _household(i: int, story: Story, today: date, stock: Stock) -> House:
    given = dict(story.house)
    word = given.pop("method", "good")
    name = given.pop("name", story.title.split(", ")[0])
    opened = today - timedelta(days=1500 + 37 * i)
    expires = date(today.year + 2, 6, 28) if word != "expired" else (today - timedelta(days=60)).replace(day=28)
    holder = "Héctor Ruiz" if story.key == "ruiz" else "Gloria Herrera" if story.key == "heron" else name
    house = House(
        reference=story.reference or f"A-{104_900 + 3 * i:07d}",
        name=name,
        state=story.state,
        bill_day=min((today - timedelta(days=8)).day, 28),
        opened_on=opened,
        people=[PersonDraft(holder, same_as="hector" if story.key in ("hector", "ruiz") else ""), *map(_copy, story.more)],
        lines=[_line(k, plan, story, opened, stock) for k, plan in enumerate(story.plans)],
        pin=story.pin,
        method=("Visa", f"{4242 + i}", word, expires),
        email=f"{story.key}@example.com",
        **given,
    )
    if story.late is not None:
        _falls_behind(house, story.late, today)
    special = SPECIAL.get(story.key)
    if special:
        special(house, today, stock)
    return house


def _falls_behind(house: House, late: int, today: date) -> None:
    """Nothing paid from the bill on that fell due so many days ago (a few more, where its day is the end of a month). With no
    service any more there are no more bills; the last one still comes."""
    issued = today - timedelta(days=late + DUE_DAYS)
    house.bill_day, house.opened_on = min(issued.day, 28), today - timedelta(days=700)
    for line in house.lines:
        line.activated_on = house.opened_on
    issued = bill_days(house, issued)[0]
    house.billed_until = issued + timedelta(days=DUE_DAYS + OFF_AFTER + 31)
    house.pays, house.unpaid = "stopped", sum(1 for day in bill_days(house, today) if day >= issued)


def _copy(person: PersonDraft) -> PersonDraft:
    return PersonDraft(person.name, person.right, person.may_money, person.may_service)


def _line(k: int, plan: str, story: Story, opened: date, stock: Stock) -> LineDraft:
    kind = {"WATCH": "watch", "TABLET10": "tablet"}.get(plan, "phone")
    fitting = [d for d in names.DEVICES if d[3] == kind]
    device = fitting[(len(story.key) + k) % len(fitting)]
    return LineDraft(
        number=story.number if k == 0 else stock.number(story.number[2:5]),
        plan=plan,
        activated_on=opened,
        label={"watch": "Watch", "tablet": "Tablet"}.get(kind, ""),
        device=device,
        imei=stock.imei(device[0]),
        iccid=stock.iccid(),
        can_text=kind == "phone",
        use=0.42,
    )


def _maria(house: House, today: date, stock: Stock) -> None:
    """The offer ended with the bill before the newest ($15.00) and she went over her data ($8.40): $23.40 together."""
    newest, _ = bill_period(house.bill_day, today)
    house.promo = ("Loyalty offer, 15 dollars off", 1500, newest - timedelta(days=2))
    house.overage = {0: 84}
    house.lines[1].label = "Chidi's phone"
    watch = house.lines[2]
    watch.status, watch.status_reason, watch.status_since = "suspended", "watch lost", today - timedelta(days=9)


def _zoe(house: House, today: date, stock: Stock) -> None:
    house.lines[1].label, house.lines[1].use = "Zoe's phone", 1.04
    house.lines[2].label = "Tobi's phone"


def _travis(house: House, today: date, stock: Stock) -> None:
    line = house.lines[0]
    line.status, line.status_reason, line.status_since = "suspended", "not paid", today - timedelta(days=6)
    house.late_fees = {0, 1}


def _katya(house: House, today: date, stock: Stock) -> None:
    """Changed in a store yesterday. (`moment` of yesterday afternoon: within 24 hours of most of today; see `settle_times`.)"""
    house.lines[0].sim_since = house.lines[0].number_since = moment(today - timedelta(days=1), time(23, 30))


def _glenn(house: House, today: date, stock: Stock) -> None:
    old = LineDraft(number=BY_KEY["aaliyah"].number, plan="PLUS5", activated_on=house.opened_on, label="Old number", status="cancelled")
    old.status_reason, old.status_since = "at the customer's wish", today - timedelta(days=64)
    house.lines.append(old)


def _aaliyah(house: House, today: date, stock: Stock) -> None:
    house.opened_on = house.lines[0].activated_on = today - timedelta(days=61)


def _heron(house: House, today: date, stock: Stock) -> None:
    for k, line in enumerate(house.lines):
        line.label = "Office" if k == 0 else f"Van {k}"


def _marcus(house: House, today: date, stock: Stock) -> None:
    house.opened_on = house.lines[0].activated_on = today - timedelta(days=1)


def _walter(house: House, today: date, stock: Stock) -> None:
    house.method, house.likes = None, "Calls after 5 pm"


def _banks(house: House, today: date, stock: Stock) -> None:
    house.people[1].until = add_months(today, -1)


def _brenda(house: House, today: date, stock: Stock) -> None:
    house.late_fees = {0}


def _naledi(house: House, today: date, stock: Stock) -> None:
    house.lines[0].sim_state = "blocked"


def _cody(house: House, today: date, stock: Stock) -> None:
    house.lines[0].blocked = "reported stolen"


def _ruth(house: House, today: date, stock: Stock) -> None:
    newest, _ = bill_period(house.bill_day, today)
    line = house.lines[0]
    line.before = ("PLUS15", newest - timedelta(days=11))
    line.device = next(d for d in names.DEVICES if d[2] == "Pixel 8")
    line.instalments_from, line.sold_at_the_desk = add_months(newest, -1), True
    house.late_fees = {0}


def _ines(house: House, today: date, stock: Stock) -> None:
    """Her last two bills are made by the bill run itself (`_ines_is_billed`), from the use that the network's files bring."""
    newest, _ = bill_period(house.bill_day, today)
    last = add_months(newest, -1)
    house.billed_until = last - timedelta(days=1)
    begun = add_months(last, -1)
    house.lines[0].source_key = "N-7315"
    house.lines[0].used_before = (
        *(("voice", begun + timedelta(days=n), 101) for n in (2, 7, 12, 20, 25)), ("text", begun + timedelta(days=9), 412),
        *(("data", begun + timedelta(days=n), 300) for n in (3, 11, 19, 27)),
        *(("voice", last + timedelta(days=n), minutes) for n, minutes in ((4, 210), (15, 122), (22, 180))), ("text", last + timedelta(days=9), 1007),
        *(("data", last + timedelta(days=n), 250) for n in (3, 11, 19, 27)),
    )  # fmt: skip


SPECIAL: dict[str, Callable[[House, date, Stock], None]] = {
    "maria": _maria, "zoe": _zoe, "travis": _travis, "katya": _katya, "glenn": _glenn, "aaliyah": _aaliyah, "heron": _heron,
    "marcus": _marcus, "walter": _walter, "banks": _banks, "brenda": _brenda,
    "naledi": _naledi, "cody": _cody, "ruth": _ruth, "ines": _ines,
}  # fmt: skip


# ------------------------------------------------------------------ their past


def plan(run: Run) -> Iterator[tuple[datetime, Callable[[], None]]]:
    """Every deed of the stories' past, each at the moment it begins."""
    for key, staff, days, clock, live in PAST:
        at = run.days_ago(days, clock)
        yield at, lambda live=live, key=key, staff=staff, at=at: live(run.seat(staff, at), run.known[key])
    at = run.days_ago(29, "08:10")
    yield at, lambda: _ties(run, at)
    for days in (11, 5, 2):  # nights that look at arrangements
        early = run.days_ago(days, "00:10")
        yield early, lambda early=early: promises.settle_day(early)
    yield from _ines_is_billed(run)
    yield from _behind(run)
    yield from troubles.plan(run)


def _ines_is_billed(run: Run) -> Iterator[tuple[datetime, Callable[[], None]]]:
    """The bill run bills her two months; between the two the network says that she called abroad before the first."""
    known = run.known["ines"]
    newest, _ = bill_period(known.house.bill_day, run.today)
    last = add_months(newest, -1)
    for start in (last, newest):
        yield moment(start, time(4)), partial(_bill_run, known, start)
    at = moment(last + timedelta(days=11), time(4, 30))
    rows = [{"line": known.house.lines[0].source_key, "kind": "voice", "day": last - timedelta(days=n), "quantity": minutes} for n, minutes in ((9, 22), (8, 16))]
    yield at, partial(_usage_comes, rows, at)


def _bill_run(known: Known, start: date) -> None:
    """One account's cycle, as `careline bill` does it with all."""
    bills = billing.begin(start, moment(start, time(4)))
    account = customers.one_in_cycle(known.account)
    if account is None:
        raise DemoFault(f"{known.house.name} is in no cycle of {start}")
    with transaction.atomic():
        billed.draft_many(act=bills.act, start=start, found=billing_queries.judged([account], start, bills.tariff))
    with transaction.atomic():
        if not billed.issue_many(act=bills.act, start=start, account_ids=[known.account], tariff=bills.tariff).bills:
            raise DemoFault(f"{known.house.name} was not billed for {start}")


def _usage_comes(rows: list[dict[str, Any]], at: datetime) -> None:
    with transaction.atomic():
        fates = customer_operations.upsert_many(act=Act(DEMO, at, "", "demo-usage", NO_BASIS), entity="usage", rows=rows)
    if set(fates) != {"written"}:
        raise DemoFault(f"usage that came late: {fates}")


def _ines_pays(seat: Seat, who: Known) -> None:
    seat.take(who, by="pin", reason="payment")
    link = seat.send_link(_owed(who))
    seat.close("Pays her bill by a link. Was in Mexico in the last week of the month before.", "resolved", "none")
    _paid(seat, link)


def _behind(run: Run) -> Iterator[tuple[datetime, Callable[[], None]]]:
    """Nights from before the month that everybody lives through, for the stories that begin before it, and the noons at which their notices went."""
    accounts = [run.known[story.key].account for story in STORIES if (story.late or 0) > 2 * FIRST_NIGHT]
    for days in NIGHTS_BEFORE:
        at, noon = run.days_ago(days, "03:20"), run.days_ago(days, "12:30")
        yield at, partial(night.of_some, accounts, at)
        yield noon, partial(worker.send_due, at=noon)


def _farah_disputes(seat: Seat, who: Known) -> None:
    seat.take(who, by="pin", reason="bill")
    bill = next(b for b in reversed(ledger.bills_of(who.account)) if b.open_minor > 0)
    seat.on("collections.hold", kind="dispute", bill=bill.id, words="Says that the plan she was billed for was cancelled in the store")
    seat.close("Disputes her oldest bill. It is held while billing looks at it; what came after is due.", "handed_on", "past_due")


def _oskar_disputes(seat: Seat, who: Known) -> None:
    seat.take(who, by="pin", reason="bill")
    bill = next(b for b in reversed(ledger.bills_of(who.account)) if b.open_minor > 0)
    seat.on("collections.hold", kind="dispute", bill=bill.id, words="Says that he sent the router back before the month began; billing looks for it")
    seat.close("Disputes his bill. It is held while billing looks for the router that he sent back.", "handed_on", "past_due")


def _ties(run: Run, at: datetime) -> None:
    """Sam marks who is tied to whom."""
    for key, name, tie in (("silva", "ana", "own"), ("park", "lena", "relative")):
        run.must(run.staff["sam"], "customers.tie_staff", at, account=run.known[key].account, staff=int(run.staff[name].id), tie=tie)


def _owed(known: Known) -> int:
    return ledger.balance(known.account)


def _past_due(seat: Seat) -> int:
    """What of the balance was due before this day, so that paying it brings the account up to date."""
    assert seat.known is not None
    return sum(b.open_minor for b in ledger.bills_of(seat.known.account) if b.due_on < seat.run.today)


def _paid(seat: Seat, link: str, seconds: float = 1500) -> None:
    """The customer opens the link; the provider tells us."""
    seat.later(seconds)
    seat.run.must(seat.run.staff["payments-provider"], "payments.link_paid", seat.at, link=link, provider_reference=f"sbx-{link[-9:]}", method="Visa …4242")
    seat.run.post(seat.at)


def _maria_asks(seat: Seat, who: Known) -> None:
    seat.take(who, by="pin", reason="bill")
    seat.note("Prefers Spanish and needs slow, clear speech. The line was bad; she wants the bill explained line by line.")
    seat.close("Asked why the bill is higher; the line was bad and she will call again.", "customer_acts", "bill_changed")


def _jae_declined(seat: Seat, who: Known) -> None:
    seat.take(who, by="pin", reason="payment")
    method = ledger.methods_of(who.account)[0]
    seat.refused("payments.take", "provider-declined", account=who.account, amount=_past_due(seat), method=method.pk)
    seat.send_link(_past_due(seat))
    seat.close("Autopay failed and the card was declined again; a payment link was sent.", "customer_acts", "payment_failed",
               follow_up="See whether the link was paid; else offer another way", due_on=seat.run.today, owner="ana")


def _daniel_refused(seat: Seat, who: Known) -> None:
    seat.take(who, person=1, by="pin", reason="bill")
    seat.refused("credits.grant", "no-money-right", account=who.account, amount=1000, reason="goodwill")
    seat.close("Daniel asked for a credit; he may not deal with money here. Priya will call.", "customer_acts", "teaching")


def _zoe_warned(seat: Seat, who: Known) -> None:
    seat.take(who, by="both", reason="technical")
    seat.note("Zoe watches videos on the bus. Showed how to set a limit on her phone.")
    seat.close("Zoe's line was close to its allowance; explained the options.", "resolved", "usage")


def _travis_promises(seat: Seat, who: Known) -> None:
    seat.take(who, reason="payment")
    seat.note("Lost his job in the summer, new job since this month. Paid on time for three years before.")
    unpaid = sum(1 for b in ledger.bills_of(who.account) if b.open_minor > 0)
    seat.close(f"Line suspended, {_FEW[unpaid]} bills open; wants to pay in two parts from payday.", "follow_up", "past_due",
               follow_up="Call Travis about the first part", due_on=seat.run.today, owner="ana")


def _ingrid_asks_for_a_link(seat: Seat, who: Known) -> None:
    seat.take(who, by="pin", reason="payment")
    seat.close("Asked how to pay by link; sent her one.", "resolved", "teaching")


def _frank_first(seat: Seat, who: Known) -> None:
    seat.take(who, by="pin", reason="technical")
    troubles.walk(seat, "no_service", set(), "There has been no service at home for two days.")
    seat.note("Two days without service at home; was told that $10 would come.")
    seat.close("No service for two days. Promised $10 by the end of the week.", "follow_up", "network",
               follow_up="Credit $10 for two days without service", due_on=seat.run.today, owner="ana")


def _frank_second(seat: Seat, who: Known) -> None:
    seat.take(who, reason="bill")
    seat.close("The $10 is not there; he will not wait any longer. Told him it is on its way.", "follow_up", "promise_not_kept",
               follow_up="Make sure that Frank's credit arrived, and call him", due_on=seat.run.today, owner="lena")


def _heron_line(seat: Seat, who: Known) -> None:
    seat.take(who, person=1, by="both", reason="device")
    seat.note("Nadia Petrov is the office manager and decides on lines; Gloria only signs the contract.", pinned=True)
    seat.close("Asked for a list of the twelve lines with their users; sent by email.", "resolved", "teaching")


def _silva_admitted(seat: Seat, who: Known) -> None:
    """Ana calls about her own account; Eva asks to be admitted."""
    seat.known = who
    seat.contact = int(seat.must("contacts.open", caller_number=who.house.lines[0].number, reason="bill").show["id"])
    seat.refused("contacts.identify", "own-business", account=who.account, person=who.people[0])
    asked = seat.on("approvals.ask_admission", person=who.people[0], words="Ana is on her break and asks about her own bill.")
    request = int(asked.show["request"])
    seat.run.must(seat.run.staff["lena"], "approvals.decide", seat.at, BasisRef("request", request), request=request, decision="approve", answer="Fine, explain only")
    seat.later(30)
    seat.must("contacts.identify", account=who.account, person=who.people[0])
    seat.call_back()
    seat.look()
    seat.close("Explained the bill to a colleague as a customer; nothing was changed.", "resolved", "bill_changed")


def _park_note(seat: Seat, who: Known) -> None:
    seat.take(who, reason="device")
    seat.note("Prefers Korean; her daughter works here and must not be the one who helps.", pinned=True)
    seat.close("Texts came twice; restarted the phone.", "resolved", "device")


def _walter_code(seat: Seat, who: Known) -> None:
    seat.take(who, by="code", reason="other")
    seat.note("No PIN on the account. Take time; he writes everything down.")
    seat.close("Asked how to read his voicemail; done together.", "resolved", "teaching")


def _jensen_pinned(seat: Seat, who: Known) -> None:
    seat.take(who, person=1, reason="other")
    seat.note("Harold Jensen died on the 2nd. Beth Jensen, his daughter, is the executor. No marketing, no reminders; condolences first.", pinned=True)
    seat.close("Beth told us that her father died. She keeps the number for now because family calls it.", "follow_up", "none",
               follow_up="Ask Beth Jensen whether the line shall go on", due_on=seat.run.today + timedelta(days=12), owner="lena")


def _dolores_twice(seat: Seat, who: Known) -> None:
    seat.take(who, by="pin", reason="technical")
    seat.on("credits.grant", amount=800, reason="goodwill", words="Slow data")
    twice = seat.on("credits.grant", amount=800, reason="goodwill", words="Slow data")
    seat.on("credits.reverse", credit=twice.show["credit"], words="Given twice by mistake")
    seat.close("Slow data, $8.00 goodwill. It was given twice by mistake and one was taken back.", "resolved", "network")


def _kwame_stays(seat: Seat, who: Known) -> None:
    seat.take(who, by="pin", reason="leaving")
    given = {"account": str(who.account), "amount": 4000, "reason": "retention"}
    seat.refused("credits.grant", "credit-event", account=who.account, amount=4000, reason="retention")
    asked = seat.on("approvals.ask", code="credits.grant", input=given, words="Offer of another carrier; with us for four years, two lines.")
    request = int(asked.show["request"])
    seat.run.must(seat.run.staff["lena"], "approvals.decide", seat.at, BasisRef("request", request), request=request, decision="less", amount=3000, answer="Thirty, as for the others")
    seat.later(40)
    seat.note("Took $30.00 to stay; looks at the unlimited plans again next month.")
    seat.close("Another carrier made an offer; stays with a credit of $30.00.", "resolved", "plan_fit")


def _chloe_declined(seat: Seat, who: Known) -> None:
    seat.take(who, reason="bill")
    given = {"account": str(who.account), "amount": 6000, "reason": "retention"}
    asked = seat.on("approvals.ask", code="credits.grant", input=given, words="Says she will leave otherwise.")
    request = int(asked.show["request"])
    seat.run.must(seat.run.staff["lena"], "approvals.decide", seat.at, BasisRef("request", request), request=request, decision="decline", answer="No outage in her area; offer the plan check")
    seat.later(40)
    seat.close("Asked for $60; declined by the lead. Offered to compare the plans.", "customer_acts", "plan_fit")


def _amira_handed(seat: Seat, who: Known) -> None:
    """Tom hands over to Eva; the voice stays, so does the level."""
    seat.take(who, by="pin", reason="technical")
    eva = Seat(seat.run, seat.run.staff["eva"], seat.at)
    seat.on("contacts.note", text="Tablet loses data every evening; restart and other SIM tried.")
    seat.must("contacts.hand_over", to=int(eva.who.id), words="Data drops every evening on the tablet; restart and SIM tried.")
    eva.at, eva.contact, eva.known = seat.at, seat.contact, who
    eva.must("contacts.accept")
    eva.look()
    eva.on("credits.grant", amount=1500, reason="goodwill", words="A week of evenings without data")
    eva.close("Taken over from Tom: the tower's evening load. $15.00 goodwill; better after the upgrade.", "resolved", "network")


def _grace_chat(seat: Seat, who: Known) -> None:
    seat.take(who, by="code", reason="device", channel="chat")
    seat.must("contacts.hold")
    seat.later(90)
    seat.must("contacts.resume")
    seat.note("Chat or texts only. Do not call.", pinned=True)
    seat.close("Her watch was paired with an old phone; paired anew in the chat.", "resolved", "device")


def _linh_pays(seat: Seat, who: Known) -> None:
    seat.take(who, by="pin", reason="payment")
    method = ledger.methods_of(who.account)[0]
    seat.act("payments.take", account=who.account, amount=_past_due(seat), method=method.pk)
    link = seat.send_link(_past_due(seat))
    seat.close("The saved card has expired; sent a link.", "customer_acts", "payment_failed")
    _paid(seat, link)


def _brenda_again(amount: int) -> Callable[[Seat, Known], None]:
    def live(seat: Seat, who: Known) -> None:
        seat.take(who, reason="bill")
        seat.on("credits.grant", amount=amount, reason="goodwill", words="Asked again")
        seat.close("Asked for goodwill and got it.", "resolved", "none")

    return live


def _brenda_no(seat: Seat, who: Known) -> None:
    seat.take(who, reason="bill")
    seat.refused("credits.grant", "credit-window", account=who.account, amount=1000, reason="goodwill")
    seat.note("Three times goodwill in a month. Look at the plan instead.")
    seat.close("Nothing left to give this year; offered to look at the plan.", "customer_acts", "plan_fit")


def _banks_stranger(seat: Seat, who: Known) -> None:
    seat.take(who, person=1, by="nothing", reason="bill")
    seat.refused("contacts.check_pin", "stranger", account=who.account, pin=who.house.pin)
    seat.close("Tyrone's right to speak for his mother has ended. She has to renew it herself.", "customer_acts", "teaching")


def _miguel_pays(seat: Seat, who: Known) -> None:
    seat.take(who, by="pin", reason="payment")
    amount = max(_owed(who) // 2, 500)
    link = seat.send_link(amount)
    seat.close("Pays a part by link.", "customer_acts", "past_due")
    _paid(seat, link, 900)


def _oleksandr_network(seat: Seat, who: Known) -> None:
    """Rings, is answered and then identified."""
    run = seat.run
    rung = run.must(DEMO, "contacts.ring", seat.at, caller_number=who.house.lines[0].number)
    seat.later(12)
    seat.must("contacts.answer", contact=int(rung.show["id"]))
    seat.contact, seat.known = int(rung.show["id"]), who
    seat.on("contacts.identify", person=who.people[0])
    seat.must("contacts.reason", reason="technical")
    seat.on("contacts.check_pin", pin=who.house.pin)
    seat.look()
    seat.must("contacts.drop")
    seat.later(120)
    seat.must("contacts.reconnect")
    seat.on("contacts.check_pin", pin=who.house.pin)
    seat.close("No network after a trip; the line dropped once. Manual network selection was on.", "resolved", "device")


def _james_plan(seat: Seat, who: Known) -> None:
    seat.take(who, by="pin", reason="plan")
    seat.note("There is another James Nguyen in Bellevue. Always check the reference.", pinned=True)
    seat.close("Compared the plans; decides next week.", "customer_acts", "plan_fit")


def _aaliyah_calls(seat: Seat, who: Known) -> None:
    seat.take(who, by="pin", reason="other")
    seat.close("Gets calls for a Glenn, who had this number before. Showed how to block.", "resolved", "teaching")


def _ruth_changes(seat: Seat, who: Known) -> None:
    seat.take(who, by="pin", reason="plan")
    seat.note("Her plan is Unlimited from today, asked for by her; the new phone goes on instalments.")
    seat.on("billing.sell_in_instalments", equipment="pixel_8", count=24, line=who.lines[0], consent=1950, words="Chose 24 parts")
    seat.close("Took Unlimited in mid-month. Told her that the next bill has a part of this month on it.", "resolved", "plan_fit")


def _arranged(seat: Seat, *later: int) -> int:
    """Two parts of what is past due on the day of the call: half now, the rest so many days later. Returns the half."""
    assert seat.known is not None
    today = seat.at.astimezone(ZoneInfo(settings.CARRIER_ZONE)).date()
    owed = sum(b.open_minor for b in ledger.bills_of(seat.known.account) if b.due_on < today)
    half = owed - owed // 2
    parts = [{"due_on": (today + timedelta(days=d)).isoformat(), "amount": a} for d, a in zip((0, *later), (half, owed // 2), strict=True)]
    seat.on("arrangements.agree", parts=parts, words="Paid every second Friday")
    seat.on("payments.take", amount=half, method=ledger.methods_of(seat.known.account)[0].pk)
    return half


def _lucia_agrees(seat: Seat, who: Known) -> None:
    seat.take(who, by="pin", reason="payment")
    _arranged(seat, 14)
    seat.close("Past due after a month without work: half paid now, half on her next payday.", "customer_acts", "past_due")


def _omar_agrees(seat: Seat, who: Known) -> None:
    seat.take(who, by="pin", reason="payment")
    _arranged(seat, 9)
    seat.close("Half paid now, half in nine days. Works nights; texts reach him in the morning.", "customer_acts", "past_due")


def _siobhan_name(seat: Seat, who: Known) -> None:
    seat.take(who, by="code", reason="other")
    seat.close("Her name is right on the bill, with all its marks.", "resolved", "none")


PAST: tuple[tuple[str, str, int, str, Callable[[Seat, Known], None]], ...] = (
    ("brenda", "ana", 27, "10:31", _brenda_again(2000)), ("brenda", "ben", 19, "12:31", _brenda_again(1800)),
    ("brenda", "ana", 12, "10:31", _brenda_again(1000)), ("brenda", "ben", 5, "12:31", _brenda_no),
    ("ingrid", "ben", 24, "12:40", _ingrid_asks_for_a_link), ("walter", "tom", 22, "12:20", _walter_code),
    ("park", "ben", 21, "12:35", _park_note), ("jensen", "lena", 18, "10:20", _jensen_pinned),
    ("ruth", "eva", 19, "11:05", _ruth_changes), ("siobhan", "tom", 17, "12:25", _siobhan_name), ("heron", "eva", 16, "11:05", _heron_line),
    ("ines", "ben", 20, "11:25", _ines_pays),
    ("aaliyah", "ana", 15, "11:30", _aaliyah_calls), ("dolores", "ana", 14, "11:10", _dolores_twice),
    ("omar", "ben", 12, "12:05", _omar_agrees), ("lucia", "ana", 6, "11:15", _lucia_agrees),
    ("james", "ben", 13, "12:45", _james_plan), ("oleksandr", "eva", 11, "11:15", _oleksandr_network),
    ("kwame", "ana", 10, "11:20", _kwame_stays), ("grace", "eva", 9, "11:40", _grace_chat),
    ("amira", "tom", 8, "12:50", _amira_handed), ("chloe", "ben", 7, "12:10", _chloe_declined),
    ("silva", "eva", 6, "12:15", _silva_admitted), ("frank", "ana", 5, "11:45", _frank_first),
    ("daniel", "tom", 4, "12:05", _daniel_refused), ("zoe", "ben", 4, "12:55", _zoe_warned),
    ("jae", "ana", 3, "11:50", _jae_declined), ("banks", "tom", 3, "12:15", _banks_stranger),
    ("maria", "ben", 2, "12:30", _maria_asks), ("travis", "ana", 2, "11:55", _travis_promises),
    ("linh", "ben", 2, "12:58", _linh_pays), ("frank", "eva", 1, "11:35", _frank_second),
    ("miguel", "ana", 1, "11:25", _miguel_pays), ("farah", "ana", 3, "11:30", _farah_disputes),
    ("oskar", "ben", 32, "11:35", _oskar_disputes),
)  # fmt: skip


# ------------------------------------------------------------------ right now


def recent(run: Run) -> None:
    """The last hours: Nomvula's PIN locks, and Noor's number is asked for by another carrier."""
    _noor_leaves(run)
    seat, who = run.seat("ben", run.minutes_ago(140)), run.known["nomvula"]
    seat.take(who, by="nothing", reason="other")
    for wrong in ("0000", "1111"):
        seat.refused("contacts.check_pin", "pin-failed", account=who.account, pin=wrong)
    seat.refused("contacts.check_pin", "pin-locked", account=who.account, pin="2222")
    seat.close("Three wrong PINs; the PIN is locked. She had no phone at hand for a code and calls again.", "customer_acts", "none")


def _noor_leaves(run: Run) -> None:
    """Somebody with her phone and her PIN got a transfer PIN, and her number was asked for with it."""
    seat, who = run.seat("ana", run.minutes_ago(100)), run.known["noor"]
    seat.take(who, by="both", reason="leaving")
    seat.on("lines.make_transfer_pin", line=who.lines[0])
    pin = next(found[0] for text in run.post(seat.at) if (found := re.search(r"\b\d{6}\b", text)))
    seat.close("Asked for a transfer PIN for her number; PIN and code were right.", "resolved", "none")
    asked = run.do(run.staff["payments-provider"], "lines.port_out", run.minutes_ago(6), number=BY_KEY["noor"].number, account_reference=who.house.reference,
                   postal_code=who.house.postal_code, pin=pin, to="Bluebird Mobile")  # fmt: skip
    if asked.status != "pending":
        raise DemoFault(f"a port-out that should wait: {asked.status}, {asked.say}")


def present(run: Run) -> None:
    """What waits for somebody now: Eva's dropped line, Ben's request to the lead, and a telephone that rings."""
    if not contacts_of(run, "eva"):
        eva = run.seat("eva", run.minutes_ago(9)).take(run.known["peter"], by="pin", reason="technical")
        troubles.walk(eva, "mobile_data", {"vpn_on"}, BY_KEY["peter"].words, steps=2)
        eva.must("contacts.drop")
    if not contacts_of(run, "ben"):
        ben, rosa = run.seat("ben", run.minutes_ago(4)), run.known["rosa"]
        ben.take(rosa, by="callback", reason="leaving")
        given = {"account": str(rosa.account), "amount": 4500, "reason": "retention"}
        asked = ben.on("approvals.ask", code="credits.grant", input=given, words="Two lines, thinks of leaving after the outage on Friday.")
        approvals.wait_until(int(asked.show["request"]), run.now + WAITS)
    troubles.present(run)
    run.post(run.now)
    run.must(DEMO, "contacts.ring", run.minutes_ago(0.4), caller_number=BY_KEY["maria"].number)


def contacts_of(run: Run, name: str) -> bool:
    return bool(contacts.all_open_of(run.staff[name].id))
