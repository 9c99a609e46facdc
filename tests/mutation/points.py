"""Finds the places of a C++ source where a mutant can stand, and rewrites it so that a number
decides at run time which one does (choice.h has what is put there).

Everything is an insertion around an expression, or an operator's or a verb's replacement, so
places may lie within each other and each operand is computed once.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from clang.cindex import Cursor, CursorKind, Diagnostic, Index, TranslationUnit, TypeKind

COMPARISONS = {"<": ("less", "<="), "<=": ("less_equal", "<"),
               ">": ("greater", ">="), ">=": ("greater_equal", ">")}  # fmt: skip
NEGATIONS = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
SUMS = {"+": ("plus", "-"), "-": ("minus", "+"),
        "+=": ("add_to", "-="), "-=": ("take_from", "+=")}  # fmt: skip
# The next weaker order of a verb, and a still weaker one or the other half of acquire and release.
WEAKER = {
    "load_acquire": ("load_relaxed", ""),
    "load_seq_cst": ("load_acquire", "load_relaxed"),
    "store_release": ("store_relaxed", ""),
    "store_seq_cst": ("store_release", "store_relaxed"),
    "exchange_seq_cst": ("exchange_acq_rel", "exchange_relaxed"),
    "compare_exchange": ("compare_exchange_acquire", "compare_exchange_release"),
    "compare_exchange_seq_cst": ("compare_exchange", "compare_exchange_relaxed"),
    "add_seq_cst": ("add_acq_rel", "add_relaxed"),
    "set_bits_seq_cst": ("set_bits_acq_rel", "set_bits_relaxed"),
    "clear_bits_seq_cst": ("clear_bits_acq_rel", "clear_bits_relaxed"),
    "fence_seq_cst": ("fence_acquire, fence_release", ""),
}
# What changes a word has one order on x86-64: a weaker one of the real CPU's is no mutant.
LOADS_AND_STORES = ("load_", "store_", "fence_")
VERB = re.compile(r"(?:(\w+)\.|(\w+)::|)(" + "|".join(WEAKER) + r")\s*\(")
PRIVATE_ORDER = re.compile(r"std::memory_order_(acquire|release|acq_rel|seq_cst)")
# What defines the orders is no place to weaken them: nothing is left to compare with.
WITHOUT_ORDERS = ("sync/atomics.h",)
FUNCTIONS = {
    CursorKind.FUNCTION_DECL, CursorKind.FUNCTION_TEMPLATE, CursorKind.CXX_METHOD,
    CursorKind.CONSTRUCTOR, CursorKind.DESTRUCTOR, CursorKind.CONVERSION_FUNCTION,
}  # fmt: skip
NUMBERS = {TypeKind.DEPENDENT, TypeKind.UNEXPOSED, TypeKind.AUTO, TypeKind.POINTER}
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)


@dataclass(frozen=True)
class Mutant:
    number: int
    kind: str
    file: str
    line: int
    function: str
    before: str
    after: str

    @property
    def key(self) -> str:
        """What a justification names: no line, so that it outlasts changes elsewhere."""
        return f"{self.file} {self.function}: {self.before} => {self.after}"


@dataclass
class Rewriter:
    """One source: its mutants, and its text with all of them."""

    root: Path
    file: str  # relative to root
    next_number: int
    mutants: list[Mutant] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.data = (self.root / self.file).read_bytes()
        self.opens: list[tuple[int, int, str]] = []  # at, end, text
        self.closes: list[tuple[int, int, str]] = []  # at, begin, text
        self.swaps: list[tuple[int, int, str]] = []  # begin, end, text

    # ---- text -----------------------------------------------------------------------------------

    def text(self, begin: int, end: int) -> str:
        return self.data[begin:end].decode()

    def shown(self, begin: int, end: int) -> str:
        return " ".join(COMMENT.sub(" ", self.text(begin, end)).split())

    def wrap(self, begin: int, end: int, before: str, after: str) -> None:
        self.opens.append((begin, end, before))
        self.closes.append((end, begin, after))

    def result(self) -> str:
        # At one place what ends goes before what begins; the inner ends first, the outer begins.
        edits = [(at, 0, -begin, at, text) for at, begin, text in self.closes]
        edits += [(at, 1, -end, at, text) for at, end, text in self.opens]
        edits += [(begin, 2, 0, end, text) for begin, end, text in self.swaps]
        out, done = [], 0
        for at, _, _, end, text in sorted(edits, key=lambda edit: edit[:3]):
            out += [self.text(done, at), text]
            done = end
        return "".join(out) + self.text(done, len(self.data))

    # ---- mutants --------------------------------------------------------------------------------

    def add(self, kind: str, function: str, span: tuple[int, int], after: str) -> int:
        line = self.data.count(b"\n", 0, span[0]) + 1
        self.mutants.append(
            Mutant(self.next_number, kind, self.file, line, function, self.shown(*span), after)
        )
        self.next_number += 1
        return self.next_number - 1


def span_of(cursor: Cursor) -> tuple[int, int]:
    return cursor.extent.start.offset, cursor.extent.end.offset


class Finder:
    """Walks the tree of one source and tells its rewriter."""

    def __init__(self, rewriter: Rewriter, tree: TranslationUnit) -> None:
        self.out = rewriter
        self.function = ""
        path = str(rewriter.root / rewriter.file)
        for cursor in tree.cursor.get_children():
            if cursor.location.file and cursor.location.file.name == path:
                self.visit_outside(cursor)

    def visit_outside(self, cursor: Cursor) -> None:
        """Outside of functions: types and namespaces; what the compiler computes is left alone."""
        if cursor.kind in FUNCTIONS:
            self.visit_function(cursor)
        elif cursor.kind not in (CursorKind.STATIC_ASSERT, CursorKind.VAR_DECL):
            for child in cursor.get_children():
                self.visit_outside(child)

    def visit_function(self, cursor: Cursor) -> None:
        before, self.function = self.function, cursor.spelling.split("<")[0]
        for child in cursor.get_children():
            initialises = cursor.kind == CursorKind.CONSTRUCTOR and child.kind.is_expression()
            if child.kind == CursorKind.COMPOUND_STMT or initialises:
                self.visit(child)
        self.function = before

    def is_macro(self, cursor: Cursor) -> bool:
        return self.out.text(*span_of(cursor)).startswith(("NDSHARE_", "static_assert"))

    def visit(self, cursor: Cursor, judged: bool = False) -> None:
        """judged: the truth of this expression has mutants already."""
        if self.is_macro(cursor):
            return
        kind = cursor.kind
        children = list(cursor.get_children())
        if kind == CursorKind.VAR_DECL and self.is_constant(cursor):
            return
        if kind == CursorKind.CASE_STMT:
            children = children[1:]
        if kind == CursorKind.LAMBDA_EXPR:
            children = [c for c in children if c.kind == CursorKind.COMPOUND_STMT]
        if kind in FUNCTIONS:
            self.visit_function(cursor)
            return
        # a != b of a type that has == only.
        rewritten = kind == CursorKind.UNARY_OPERATOR and self.shown(*span_of(cursor))[:2] == "!="
        conditions = self.conditions_of(cursor, children)
        for child in conditions:
            self.guard(child)
        if kind == CursorKind.PAREN_EXPR:
            self.visit(children[0], judged)
            return
        self.visit_statements(cursor, children)
        operator, span, between = self.operator_of(cursor, children)
        if operator in ("&&", "||"):
            self.logic(operator, cursor, children, span)
            children = []
        elif operator in NEGATIONS:
            self.comparison(operator, span, between, judged)
        elif operator in SUMS and self.is_number(cursor):
            self.sum(operator, span, between)
        elif kind == CursorKind.UNARY_OPERATOR and not judged and not rewritten:
            self.negation(cursor)
        elif kind in (CursorKind.CALL_EXPR, CursorKind.UNEXPOSED_EXPR):
            self.verb(cursor)
        elif kind == CursorKind.DECL_REF_EXPR:
            self.private_order(cursor)
        same = kind == CursorKind.UNEXPOSED_EXPR and len(children) == 1
        for child in children:
            seen_through = rewritten or (same and span_of(child) == span_of(cursor))
            self.visit(child, child in conditions or (judged and seen_through))

    def is_constant(self, variable: Cursor) -> bool:
        begin, _ = span_of(variable)
        line_begin = self.out.data.rfind(b"\n", 0, begin) + 1
        name_at = variable.location.offset
        return "constexpr" in self.out.text(line_begin, name_at)

    # ---- guards ---------------------------------------------------------------------------------

    def conditions_of(self, cursor: Cursor, children: list[Cursor]) -> list[Cursor]:
        if cursor.kind == CursorKind.CONDITIONAL_OPERATOR:
            return children[:1]
        if cursor.kind == CursorKind.DO_STMT:
            return children[1:2]
        if cursor.kind not in (CursorKind.IF_STMT, CursorKind.WHILE_STMT):
            return []
        head = re.match(r"(if|while)\s*\(", self.out.text(*span_of(cursor)))
        if head is None:  # if constexpr
            return []
        body = min(
            (c.extent.start.offset for c in children if c.kind.is_statement()
             and c.kind != CursorKind.DECL_STMT),
            default=span_of(cursor)[1],
        )  # fmt: skip
        # The last expression before the body; none when the condition declares a variable.
        found = [c for c in children if c.kind.is_expression() and span_of(c)[1] < body]
        rest = self.out.text(span_of(cursor)[0] + head.end(), body)
        if not found or (children[0].kind == CursorKind.VAR_DECL and ";" not in rest):
            return []
        return found[-1:] if found[-1].extent.start.offset < body else []

    def guard(self, condition: Cursor) -> None:
        span = span_of(condition)
        to_true = self.out.add("guard", self.function, span, "true")
        to_false = self.out.add("guard", self.function, span, "false")
        call = f"::ndshare::mutant::forced({to_true}, {to_false}, static_cast<bool>("
        self.out.wrap(*span, call, "))")

    # ---- operators ------------------------------------------------------------------------------

    def operator_of(
        self, cursor: Cursor, children: list[Cursor]
    ) -> tuple[str, tuple[int, int], tuple[int, int]]:
        """Of two operands: the operator, the whole, and the place between the operands."""
        nothing = "", (0, 0), (0, 0)
        kinds = (CursorKind.BINARY_OPERATOR, CursorKind.COMPOUND_ASSIGNMENT_OPERATOR)
        overloaded = cursor.kind in (CursorKind.CALL_EXPR, CursorKind.UNEXPOSED_EXPR)
        if len(children) < 2 or not (cursor.kind in kinds or overloaded):
            return nothing
        begin, end = span_of(children[0])[1], span_of(children[-1])[0]
        if begin >= end:
            return nothing
        operator = self.shown(begin, end)
        if operator not in NEGATIONS and (overloaded or operator not in (*SUMS, "&&", "||")):
            return nothing
        whole = span_of(children[0])[0], span_of(children[-1])[1]
        return operator, whole, (begin, end)

    def shown(self, begin: int, end: int) -> str:
        return self.out.shown(begin, end)

    def replaced(self, span: tuple[int, int], between: tuple[int, int], operator: str) -> str:
        left, right = self.shown(span[0], between[0]), self.shown(between[1], span[1])
        return f"{left} {operator} {right}"

    def comparison(
        self, operator: str, span: tuple[int, int], between: tuple[int, int], judged: bool
    ) -> None:
        def add(other: str) -> int:
            after = self.replaced(span, between, other)
            return self.out.add("comparison", self.function, span, after)

        edge = add(COMPARISONS[operator][1]) if operator in COMPARISONS else 0
        negated = 0 if judged else add(NEGATIONS[operator])
        if operator in COMPARISONS:
            call = f"::ndshare::mutant::{COMPARISONS[operator][0]}({edge}, {negated}, "
            self.out.wrap(*span, call, ")")
            self.out.swaps.append((*between, ", "))
        elif negated:
            self.out.wrap(*span, f"::ndshare::mutant::flipped({negated}, ", ")")

    def logic(
        self, operator: str, cursor: Cursor, children: list[Cursor], span: tuple[int, int]
    ) -> None:
        other = "||" if operator == "&&" else "&&"
        neutral = "true" if operator == "&&" else "false"
        between = span_of(children[0])[1], span_of(children[1])[0]
        turned = self.out.add(
            "logic", self.function, span, self.replaced(span, between, other)
        )  # fmt: skip
        self.out.wrap(*span, f"::ndshare::mutant::flipped({turned}, ", ")")
        for child in children:
            inner = self.bare(child)
            chained = self.operator_of(inner, list(inner.get_children()))[0] == operator
            dropped = 0
            if not chained:
                dropped = self.out.add("logic", self.function, span_of(child), neutral)
            call = f"::ndshare::mutant::operand({turned}, {dropped}, {neutral}, static_cast<bool>("
            self.out.wrap(*span_of(child), call, "))")
            self.visit(child, True)

    def bare(self, cursor: Cursor) -> Cursor:
        while cursor.kind in (CursorKind.UNEXPOSED_EXPR, CursorKind.PAREN_EXPR):
            children = list(cursor.get_children())
            if len(children) != 1:
                break
            cursor = children[0]
        return cursor

    def is_number(self, cursor: Cursor) -> bool:
        kind = cursor.type.get_canonical().kind
        return kind in NUMBERS or TypeKind.BOOL.value <= kind.value <= TypeKind.LONGDOUBLE.value

    def sum(self, operator: str, span: tuple[int, int], between: tuple[int, int]) -> None:
        name, other = SUMS[operator]
        after = self.replaced(span, between, other)
        number = self.out.add("sum", self.function, span, after)
        self.out.wrap(*span, f"::ndshare::mutant::{name}({number}, ", ")")
        self.out.swaps.append((*between, ", "))

    def negation(self, cursor: Cursor) -> None:
        span = span_of(cursor)
        text = self.shown(*span)
        if text.startswith("!"):
            number = self.out.add("negation", self.function, span, text[1:].strip())
            self.out.wrap(*span, f"::ndshare::mutant::flipped({number}, ", ")")

    # ---- orders and calls -----------------------------------------------------------------------

    def verb(self, cursor: Cursor) -> None:
        begin, end = span_of(cursor)
        text = self.out.text(begin, end)
        match = VERB.match(text)
        if cursor.kind != CursorKind.CALL_EXPR or not match or self.out.file in WITHOUT_ORDERS:
            return
        name = match.group(3)
        if match.group(2) and not name.startswith(LOADS_AND_STORES):
            return
        one, two = (
            self.out.add("order", self.function, (begin, end), text_of_weaker) if weaker else 0
            for weaker in WEAKER[name]
            for text_of_weaker in [weaker]
        )
        owner = match.group(2)
        ground = match.group(1) or (f"{owner}{{}}" if owner else "*this")
        more = ", " if text[match.end() :].strip() != ")" else ""
        call = f"::ndshare::mutant::{name}({one}, {two}, {ground}{more}"
        self.out.swaps.append((begin, begin + match.end(), call))

    def private_order(self, cursor: Cursor) -> None:
        span = span_of(cursor)
        if self.out.file in WITHOUT_ORDERS or not PRIVATE_ORDER.fullmatch(self.out.text(*span)):
            return
        number = self.out.add("order", self.function, span, "std::memory_order_relaxed")
        self.out.wrap(*span, f"::ndshare::mutant::order({number}, ", ")")

    def visit_statements(self, cursor: Cursor, children: list[Cursor]) -> None:
        """Calls whose result nobody wants, each a statement of its own."""
        bodies = (CursorKind.IF_STMT, CursorKind.FOR_STMT, CursorKind.WHILE_STMT,
                  CursorKind.CXX_FOR_RANGE_STMT, CursorKind.CASE_STMT,
                  CursorKind.DEFAULT_STMT)  # fmt: skip
        if cursor.kind != CursorKind.COMPOUND_STMT and cursor.kind not in bodies:
            return
        for child in children:
            begin, end = span_of(child)
            after = re.match(rb"\s*;", self.out.data[end:])
            called = self.bare(child)
            if called.kind == CursorKind.CSTYLE_CAST_EXPR:
                called = list(called.get_children())[-1]
            if called.kind != CursorKind.CALL_EXPR or not after or self.is_macro(child):
                continue
            if not self.ends_before(cursor, child):
                continue
            number = self.out.add("call", self.function, (begin, end), "removed")
            on = f"{{ if (!::ndshare::mutant::on({number})) "
            self.out.wrap(begin, end + after.end(), on, " }")

    def ends_before(self, cursor: Cursor, child: Cursor) -> bool:
        """Not the head of a loop or an if, which a ';' may follow as well."""
        if cursor.kind == CursorKind.COMPOUND_STMT:
            return True
        head = self.shown(span_of(cursor)[0], span_of(child)[0])
        return head.count("(") == head.count(")")


def system_flags() -> list[str]:
    """libclang comes without the headers of a compiler: g++ has some."""
    headers = subprocess.check_output(["g++", "-print-file-name=include"], text=True).strip()
    return ["-isystem", headers]


def rewrite(root: Path, file: str, number: int, flags: list[str]) -> tuple[str, list[Mutant]]:
    """The text of a source with all its mutants, numbered from number."""
    tree = Index.create().parse(
        str(root / file), args=["-xc++", "-std=c++20", *system_flags(), *flags]
    )
    errors = [str(found) for found in tree.diagnostics if found.severity >= Diagnostic.Error]
    if errors:
        raise SystemExit(f"{file} is not understood: {errors[0]}")
    rewriter = Rewriter(root, file, number)
    Finder(rewriter, tree)
    head = f'#include "mutation/choice.h"\n#line 1 "{root / file}"\n'
    return head + rewriter.result(), rewriter.mutants
