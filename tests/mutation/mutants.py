"""
Small mistakes that somebody could make in a function, one at a time.

Left alone is what a test should not depend on: the texts of messages, what is logged, annotations, and
assertions, which state what only a bug can break. What a module or a class body says (constants, fields,
defaults, decorators) is made before any test begins, and is not changed either.
"""

import ast
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Function = ast.FunctionDef | ast.AsyncFunctionDef

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "filter": "exclude", "exclude": "filter"}
#: A text that decides something is one word; what is said to people has spaces.
WORD = re.compile(r"\S*")
SAID = {"help", "help_text", "label", "description", "verbose_name", "title", "metavar"}
#: What only PostgreSQL runs. The tests run on it as well, but this proof does not.
POSTGRESQL = {
    ("credits/rows.py", name) for name in ("_execute_on_postgresql", "_prepared", "_checked", "_numbered", "_joined")
}


@dataclass(frozen=True)
class Mutant:
    """One mistake. ``function`` is the outermost one around it, ``offset`` the line from where that begins."""

    module: str
    function: str
    line: int
    offset: int
    change: str
    key: str
    tree: ast.Module
    apply: Callable[[], None]

    def compiled(self) -> Any:
        """The module's code with the mistake in it. The tree keeps the mistake: compile in a process of its own."""
        self.apply()
        return compile(ast.fix_missing_locations(self.tree), self.module, "exec")


def mutants_of(module: str, source: str | None = None) -> list[Mutant]:
    """Every mistake in the functions of ``module``, a path, in the order of its lines."""
    tree = ast.parse(Path(module).read_text() if source is None else source)
    return [
        mutant
        for name, function in _functions(tree)
        if (module, name) not in POSTGRESQL
        for mutant in _mutants(module, tree, name, function)
    ]


def texts_of(source: str) -> dict[str, str]:
    """The text of each function, by its name; of several of one name together, such as a property's."""
    lines = source.splitlines(keepends=True)
    texts: dict[str, str] = {}
    for name, function in _functions(ast.parse(source)):
        texts[name] = texts.get(name, "") + "".join(lines[_first_line(function) - 1 : function.end_lineno])
    return texts


def _first_line(function: Function) -> int:
    return min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])


def _functions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield prefix + child.name, child
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
        elif not isinstance(child, ast.expr):
            yield from _functions(child, prefix)


def _mutants(module: str, tree: ast.Module, name: str, function: Function) -> Iterator[Mutant]:
    first = _first_line(function)
    text = ast.unparse(function)
    seen: dict[str, int] = {}
    for node, change, apply in _mistakes(function):
        number = seen[change] = seen.get(change, 0) + 1
        stated = "\0".join([module, name, text, change, str(number)])
        key = hashlib.sha256(stated.encode()).hexdigest()[:16]
        yield Mutant(module, name, node.lineno, node.lineno - first, change, key, tree, apply)


Mistake = tuple[Any, str, Callable[[], None]]


def _mistakes(node: ast.AST) -> Iterator[Mistake]:
    """What may go wrong below ``node``."""
    for field, value in ast.iter_fields(node):
        if field in ("decorator_list", "args", "returns", "annotation", "type_params") and not isinstance(
            node, ast.Call
        ):
            continue
        for number, child in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(child, ast.AST) or _is_left_alone(child, node):
                continue
            put = _putter(node, field, number if isinstance(value, list) else None)
            for change, mistaken in _replacements(child):
                yield _located(child, node), change, lambda put=put, mistaken=mistaken: put(mistaken)  # type: ignore[misc]
            yield from _changes(child)
            yield from _mistakes(child)


def _located(child: ast.AST, node: ast.AST) -> ast.AST:
    return child if hasattr(child, "lineno") else node


def _is_left_alone(node: ast.AST, parent: ast.AST) -> bool:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True  # a docstring
    if isinstance(node, ast.Expr) and ast.unparse(node).startswith("logger."):
        return True
    if isinstance(node, ast.keyword) and node.arg in SAID:
        return True
    if isinstance(parent, ast.JoinedStr | ast.FormattedValue) and isinstance(node, ast.Constant | ast.JoinedStr):
        return True
    return isinstance(node, ast.Assert)


def _putter(parent: ast.AST, field: str, number: int | None) -> Callable[[ast.AST], None]:
    def put(node: ast.AST) -> None:
        if number is None:
            setattr(parent, field, node)
        else:
            getattr(parent, field)[number] = node

    return put


def _replacements(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Nodes that could stand mistakenly where ``node`` stands."""
    text = ast.unparse(node)
    match node:
        case ast.Constant(value=bool() as value):
            yield f"{value} → {not value}", _at(node, ast.Constant(not value))
        case ast.Constant(value=int() as value):
            for other in (value + 1, value - 1):
                yield f"{value} → {other}", _at(node, ast.Constant(other))
        case ast.Constant(value=str() as value) if WORD.fullmatch(value):
            yield f"{value!r} → {value + 'XX'!r}", _at(node, ast.Constant(value + "XX"))
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield f"{text} → {ast.unparse(operand)}", operand
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield f"{text} → return None", _instead(node, _at(node, ast.Return(None)))
        case (
            ast.Expr(value=ast.Call() | ast.Await() | ast.Yield() | ast.YieldFrom())
            | ast.AugAssign()
            | ast.Raise()
            | ast.Delete()
        ):
            yield f"without {text}", _instead(node, None)
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield f"without {text}", _instead(node, None)
        case ast.Break():
            yield "break → continue", _at(node, ast.Continue())
        case ast.Continue():
            yield "continue → break", _at(node, ast.Break())


def _at(node: Any, new: Any) -> Any:
    return ast.copy_location(new, node)


def _instead(node: Any, new: ast.stmt | None) -> ast.If:
    """``new`` in the place of a statement, whose names remain what they are: local, or of a closure."""
    return _at(node, ast.If(test=_at(node, ast.Constant(0)), body=[node], orelse=[new] if new else []))


def _changes(node: ast.AST) -> Iterator[Mistake]:
    """Mistakes inside ``node`` itself."""

    def change(field: str, value: Any, said: str) -> Mistake:
        return node, said, lambda: setattr(node, field, value)

    match node:
        case ast.Compare(ops=ops):
            for number, op in enumerate(ops):
                for other in COMPARISONS[type(op)]:
                    changed = [*ops[:number], other(), *ops[number + 1 :]]
                    yield change("ops", changed, _said(node, ops=changed))
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in ARITHMETIC:
            other_op = ARITHMETIC[type(op)]()
            yield change("op", other_op, _said(node, op=other_op))
        case ast.BoolOp(op=op):
            other_bool = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield change("op", other_bool, _said(node, op=other_bool))
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name) as func) if name in NAMES:
            field = "id" if isinstance(func, ast.Name) else "attr"
            said = f"{ast.unparse(func)} → {NAMES[name]}"
            yield node, said, lambda: setattr(func, field, NAMES[name])
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) if not isinstance(
            test, ast.Compare | ast.UnaryOp | ast.BoolOp | ast.Constant
        ):
            yield change("test", _not(test), f"if {ast.unparse(test)} → if not")
        case ast.comprehension(ifs=[_, *_] as ifs):
            for number, test in enumerate(ifs):
                rest = [*ifs[:number], *ifs[number + 1 :]]
                yield test, f"for … without if {ast.unparse(test)}", lambda rest=rest: setattr(node, "ifs", rest)  # type: ignore[misc]
        case ast.For(iter=iterated):
            nothing = _at(iterated, ast.BoolOp(ast.And(), [iterated, _at(iterated, ast.Tuple([], ast.Load()))]))
            yield change("iter", nothing, f"for … in {ast.unparse(iterated)} → in nothing")
        case ast.ExceptHandler(body=body):
            caught = ast.unparse(node.type) if node.type else ""
            yield change("body", [_at(node, ast.Raise()), *body], f"except {caught} → raised again")


def _not(test: ast.expr) -> ast.expr:
    return _at(test, ast.UnaryOp(ast.Not(), test))


def _said(node: Any, **fields: Any) -> str:
    before = ast.unparse(node)
    kept = {name: getattr(node, name) for name in fields}
    for name, value in fields.items():
        setattr(node, name, value)
    after = ast.unparse(node)
    for name, value in kept.items():
        setattr(node, name, value)
    return f"{before} → {after}"
