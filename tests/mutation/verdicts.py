"""What is known of the mutants: those that a test notices, those that none can, and why."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from points import Mutant


@dataclass
class Verdict:
    mutant: Mutant
    noticed_by: str | None  # a test's name
    is_reached: bool = True


@dataclass(frozen=True)
class Reason:
    kind: str
    why: str


def load_justified(path: Path) -> dict[str, Reason]:
    """Reasons by the keys of mutants."""
    reasons: dict[str, Reason] = {}
    for entry in tomllib.loads(path.read_text())["because"]:
        for key in entry["mutants"]:
            if key in reasons:
                raise SystemExit(f"justified twice: {key}")
            reasons[key] = Reason(entry["kind"], entry["why"])
    return reasons


def judge(verdicts: list[Verdict], reasons: dict[str, Reason], whole: bool) -> tuple[str, bool]:
    """A report, and whether nothing is open. whole: all mutants were tried, so that a reason
    without a survivor is stale."""
    survivors = [v for v in verdicts if v.noticed_by is None]
    open_ones = [v for v in survivors if v.mutant.key not in reasons]
    there = {v.mutant.key for v in survivors}
    stale = [key for key in reasons if key not in there] if whole else []
    lines = []
    for verdict in open_ones:
        mutant = verdict.mutant
        how = "survives" if verdict.is_reached else "is passed by no test"
        lines.append(f"src/{mutant.file}:{mutant.line}: {mutant.kind} {how}")
        lines.append(f"    {mutant.key}")
    lines += [f"justified, but no survivor: {key}" for key in stale]
    why = Counter(reasons[v.mutant.key].kind for v in survivors if v.mutant.key in reasons)
    lines.append(f"{len(verdicts)} mutants, {len(verdicts) - len(survivors)} noticed, "
                 f"{sum(why.values())} justified, {len(open_ones)} open")  # fmt: skip
    by_kind = Counter((v.mutant.kind, v.noticed_by is not None) for v in verdicts)
    for kind in sorted({v.mutant.kind for v in verdicts}):
        noticed, survived = by_kind[kind, True], by_kind[kind, False]
        lines.append(f"  {kind:11} {noticed:5} noticed {survived:4} not")
    lines += [f"  justified as {kind}: {count}" for kind, count in sorted(why.items())]
    return "\n".join(lines), not open_ones and not stale


class Known:
    """The verdicts of this run and of those before it, of the mutants that there are."""

    def __init__(self, path: Path, mutants: list[Mutant]) -> None:
        self.path, self.mutants, self.unsaved = path, mutants, 0
        # The same text may stand in a function more than once: the places are counted.
        seen: Counter[str] = Counter()
        self.name_of: dict[int, str] = {}
        for mutant in mutants:
            seen[mutant.key] += 1
            self.name_of[mutant.number] = f"{mutant.key} #{seen[mutant.key]}"
        rows = json.loads(path.read_text()) if path.exists() else {}
        self.by_number = {
            m.number: Verdict(m, row["noticed_by"], row["is_reached"])
            for m in mutants
            if (row := rows.get(self.name_of[m.number]))
        }

    def is_noticed(self, mutant: Mutant) -> bool:
        verdict = self.by_number.get(mutant.number)
        return verdict is not None and verdict.noticed_by is not None

    def add(self, verdict: Verdict) -> None:
        self.by_number[verdict.mutant.number] = verdict
        self.unsaved += 1
        if self.unsaved == 50:
            self.save()

    def verdicts(self) -> list[Verdict]:
        return [self.by_number[m.number] for m in self.mutants if m.number in self.by_number]

    def is_whole(self) -> bool:
        return len(self.by_number) == len(self.mutants)

    def save(self) -> None:
        self.unsaved = 0
        rows = {
            self.name_of[v.mutant.number]: {
                "kind": v.mutant.kind,
                "line": v.mutant.line,
                "noticed_by": v.noticed_by,
                "is_reached": v.is_reached,
            }
            for v in self.verdicts()
        }
        self.path.write_text(json.dumps(rows, indent=1) + "\n")
