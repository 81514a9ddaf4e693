"""A public name without a docstring is a failing test."""

import ast
from collections.abc import Iterator

from support.tree import SOURCES, modules

PUBLIC = (SOURCES["maillon.protocol"], SOURCES["maillon.ledger"])


def _public(name: str) -> bool:
    return not name.startswith("_")


def _undocumented(tree: ast.Module) -> Iterator[tuple[int, str]]:
    if not ast.get_docstring(tree):
        yield 1, "the module"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and _public(node.name) and not _documented(node):
            yield node.lineno, node.name
        if isinstance(node, ast.ClassDef) and _public(node.name):
            if not ast.get_docstring(node):
                yield node.lineno, node.name
            for member in node.body:
                if isinstance(member, ast.FunctionDef) and _public(member.name):
                    if not _documented(member):
                        yield member.lineno, f"{node.name}.{member.name}"


def _documented(function: ast.FunctionDef) -> bool:
    """Tell whether `function` has a docstring, or is a variant of one that has."""
    names = {ast.unparse(decorator).rpartition(".")[2] for decorator in function.decorator_list}
    return bool(ast.get_docstring(function)) or bool(names & {"overload", "override", "setter"})


def test_every_public_name_of_protocol_and_ledger_says_what_it_does() -> None:
    found = [
        f"{path}:{line}: {name}"
        for path, tree in modules(*PUBLIC)
        for line, name in _undocumented(tree)
    ]
    assert found == []


def test_every_module_of_the_node_says_what_it_is() -> None:
    found = [
        str(path) for path, tree in modules(SOURCES["maillon.node"]) if not ast.get_docstring(tree)
    ]
    assert found == []


def test_a_missing_docstring_is_noticed() -> None:
    source = '"""A module."""\nclass A:\n    """An A."""\n    def b(self): pass\ndef _c(): pass\n'
    assert list(_undocumented(ast.parse(source))) == [(4, "A.b")]
