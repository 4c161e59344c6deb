"""The packages of the code, and which of them import which, read from the source itself.

`python -m tests.architecture.packages` prints the figures that `test_packages.py` limits; with `--pairs`, the table
of imports in that test.
"""

import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAYERS = ("app", "domain", "infra")
OPEN_TO_ALL = {"domain.entities", "domain.exceptions", "domain.interfaces"}
"""Packages that every adapter needs; importing them is left out of the pairs of the other layers."""


def modules() -> dict[str, Path]:
    """Return every module of the three layers by its dotted name, packages included."""
    return {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
        for layer in LAYERS
        for file in sorted((ROOT / layer).rglob("*.py"))
    }


def packages() -> dict[str, Path]:
    """Return the `__init__.py` of every package by the package's dotted name."""
    return {name: file for name, file in modules().items() if file.name == "__init__.py"}


def package_of(module: str, known: Mapping[str, Path]) -> str:
    """Return the innermost package that holds `module`; a package holds itself."""
    while module not in known:
        module = module.rpartition(".")[0]
    return module


def imports_of(file: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """Yield the modules of the three layers that a file imports, imports in functions and for types included."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                as_module = f"{node.module}.{name.name}"
                if as_module in known:
                    yield as_module
                elif node.module in known:
                    yield node.module


def package_imports() -> dict[str, Counter[str]]:
    """Return, for each package, how many import statements lead from it to each other package."""
    known, holding = modules(), packages()
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for module, file in known.items():
        source = package_of(module, holding)
        for imported in imports_of(file, known):
            target = package_of(imported, holding)
            if target != source:
                found[source][target] += 1
    return found


def package_pairs() -> dict[str, list[str]]:
    """Return, for each package, the packages it imports, without those open to all."""
    return {
        source: targets
        for source, counts in sorted(package_imports().items())
        if (
            targets := sorted(
                target
                for target in counts
                if target not in OPEN_TO_ALL or source.startswith("domain")
            )
        )
    }


def cycles(edges: Mapping[str, Counter[str]]) -> list[list[str]]:
    """Return every group of packages that import one another in a circle (Tarjan, SIAM J. Comput. 1972)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_: list[str] = []
    found: list[list[str]] = []

    def visit(package: str) -> None:
        order[package] = lowest[package] = len(order)
        open_.append(package)
        for target in edges.get(package, ()):
            if target not in order:
                visit(target)
                lowest[package] = min(lowest[package], lowest[target])
            elif target in open_:
                lowest[package] = min(lowest[package], order[target])
        if lowest[package] == order[package]:
            at = open_.index(package)
            group = open_[at:]
            del open_[at:]
            if len(group) > 1:
                found.append(sorted(group))

    for package in list(edges):
        if package not in order:
            visit(package)
    return found


def modules_per_package() -> Counter[str]:
    """Return how many modules each package holds directly, its `__init__.py` left out."""
    holding = packages()
    return Counter(package_of(module, holding) for module in modules() if module not in holding)


def shared_prefixes() -> list[str]:
    """Return `package: word` for every first word that three or more modules of one package share."""
    holding = packages()
    prefixes: Counter[tuple[str, str]] = Counter()
    for module in modules():
        if module not in holding:
            package, _, name = module.rpartition(".")
            prefixes[package, name.partition("_")[0]] += 1
    return [f"{package}: {prefix}" for (package, prefix), count in prefixes.items() if count > 2]


def print_pairs() -> None:
    """Print the pairs of packages as the literal in `test_packages.py`."""
    for source, targets in package_pairs().items():
        print(f'    "{source}": {{')
        for target in targets:
            print(f'        "{target}",')
        print("    },")


def print_figures() -> None:
    """Print the sizes of the packages and what they import."""
    edges = package_imports()
    sizes = modules_per_package()
    lines = sorted(
        len(file.read_text(encoding="utf-8").splitlines()) for file in modules().values()
    )
    print(f"modules                       {sum(sizes.values())}")
    print(f"packages                      {len(packages())}")
    print(f"most modules in one package   {max(sizes.values())} ({sizes.most_common(1)[0][0]})")
    print(f"modules at the root of app    {sizes['app']}")
    print(f"modules at the root of infra  {sizes['infra']}")
    print(f"cycles of packages            {len(cycles(edges))}")
    print(f"pairs of packages             {sum(len(targets) for targets in edges.values())}")
    print(f"prefixes of three files       {len(shared_prefixes())}")
    print(f"lines of a module             median {lines[len(lines) // 2]}, most {lines[-1]}")
    for source, targets in package_pairs().items():
        print(
            f"{source:27} → {', '.join(f'{target} {edges[source][target]}' for target in targets)}"
        )


if __name__ == "__main__":
    if sys.argv[1:] == ["--pairs"]:
        print_pairs()
    else:
        print_figures()
