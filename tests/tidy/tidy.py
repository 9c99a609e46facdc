"""The tree is a thing under test: every rule of the house that a program can check.

python tidy.py ROOT          complains and fails where a rule is broken
python tidy.py --self-test   breaks every rule in a small tree; fails where that goes unnoticed
"""

from __future__ import annotations

import sys
from pathlib import Path

import code_rules
import text_rules
from self_test import self_test
from tree import Complaint, Tree

RULES = [*code_rules.RULES, *text_rules.RULES]


def complaints_about(tree: Tree) -> list[tuple[str, Complaint]]:
    return [(rule.__name__, complaint) for rule in RULES for complaint in rule(tree)]


def main(arguments: list[str]) -> int:
    if arguments == ["--self-test"]:
        return self_test(complaints_about, [rule.__name__ for rule in RULES])
    if len(arguments) != 1:
        print(__doc__)
        return 2
    tree = Tree.of(Path(arguments[0]).resolve())
    for complaint in code_rules.long_functions(tree):
        print(f"for your information: {complaint}")
    found = complaints_about(tree)
    for rule, complaint in found:
        print(f"{complaint}  [{rule}]")
    print(f"{len(tree.files)} files, {len(RULES)} rules, {len(found)} complaints")
    return 1 if found or not tree.files else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
