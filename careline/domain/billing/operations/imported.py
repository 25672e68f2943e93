"""What another system agreed with customers for every bill, and sold in instalments: imported by its own keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from careline.domain.billing.models import Agreed, Instalments
from careline.domain.customers import operations as customers
from careline.domain.customers import queries as customer_queries
from careline.domain.journal.operations import next_numbers
from careline.foundation.act import Act
from careline.prepared import rewrite_many, write_rows

Judge = Callable[[Any, Sequence[str], Mapping[str, Any]], str]  # the row that is there, what differs, what is said: why it is rejected, or nothing


def import_agreements_many(*, act: Act, rows: Sequence[Mapping[str, Any]], held_here: bool = False) -> list[str]:
    """Extras and discounts, by their source keys. Row by row: `written`, `unchanged`, or why it is rejected. What a bill has of one stays on
    it; the next has it as it is then. `held_here`: this house is their system of record, so that only new ones are written."""
    return _import(Agreed, rows, held_here, lambda *_: "", ("agreed", "AG"))


def import_instalments_many(*, act: Act, rows: Sequence[Mapping[str, Any]], held_here: bool = False) -> list[str]:
    """Equipment that is paid in parts, in the same way. It is never edited, for parts of it are on bills: it may end, and go along with
    its line to another account; what ended is not opened again, for what was left of it may be charged already."""
    return _import(Instalments, rows, held_here, _may_change, ("instalments", "IN"))


def _may_change(there: Any, differs: Sequence[str], said: Mapping[str, Any]) -> str:
    if "ended_on" in differs and there.ended_on is not None:
        return f"ended_on: it ended here on {there.ended_on}, and is not opened again"
    for name in differs:
        if name in ("label", "total_minor", "count", "starts_on"):
            return f"{name.removesuffix('_minor')}: differs from before; what is paid in parts is never edited: end it, and send the rest under a key of its own"
    return ""


def _import(table: type[Agreed] | type[Instalments], rows: Sequence[Mapping[str, Any]], held_here: bool, judge: Judge, numbers: tuple[str, str]) -> list[str]:
    accounts = customers.ids_by_key("accounts", (r["account"] for r in rows))
    lines = customers.ids_by_key("lines", (r["line"] for r in rows if r.get("line")))
    customers.lock_accounts(accounts.values())
    owners = customer_queries.accounts_of_lines(list(lines.values()))
    known = {r.source_key: r for r in table.objects.filter(source_key__in=[r["source_key"] for r in rows])}
    fates: list[str] = []
    new: dict[str, dict[str, Any]] = {}
    changed, columns = [], set()
    for row in rows:
        values = {k: v for k, v in row.items() if k not in ("account", "line")} | {"account_id": accounts.get(row["account"])}
        if "line" in row:
            values["line_id"] = lines.get(row["line"]) if row["line"] else None
        if wrong := _refers_wrongly(row, values, owners):
            fates.append(wrong)
            continue
        there = known.get(row["source_key"])
        if there is None and row["source_key"] in new:
            fates.append(f"the same key came before, in this import ({row['source_key']})")
            continue
        differs = [k for k, v in values.items() if getattr(there, k) != v] if there is not None else []
        if differs and held_here:
            fates.append(f"{differs[0].removesuffix('_id').removesuffix('_minor')}: differs from what is here, and Careline is the system of record (records.toml)")
            continue
        if differs and (wrong := judge(there, differs, values)):
            fates.append(wrong)
            continue
        if there is None:
            new[row["source_key"]] = values
        elif differs:
            for k in differs:
                setattr(there, k, values[k])
            columns.update(differs)
            changed.append(there)
        fates.append("written" if there is None or differs else "unchanged")
    ours = next_numbers(*numbers, len(new)) if new else []
    write_rows(table, [{**values, "reference": number} for values, number in zip(new.values(), ours, strict=True)])
    if changed:
        rewrite_many(changed, sorted(columns))
    return fates


def _refers_wrongly(row: Mapping[str, Any], values: Mapping[str, Any], owners: Mapping[int, int]) -> str:
    if values["account_id"] is None:
        return f"account: there is no account with the key {row['account']} (not in the files, or rejected)"
    if row.get("line"):
        if values["line_id"] is None:
            return f"line: there is no line with the key {row['line']} (not in the files, or rejected)"
        if owners.get(values["line_id"]) != values["account_id"]:
            return f"line: {row['line']} is another account's line, so no bill of this one would have it"
    return ""
