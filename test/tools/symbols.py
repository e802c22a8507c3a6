# SPDX-License-Identifier: LGPL-2.1-or-later
"""symbols.py LIBRARY MAP HEADER...

What the built library exports, what the map lists and what the public headers
declare is the same set of functions, each at the node that the map says.
"""
import re
import sys

from common import finish, need, run, without_comments


def exported(library):
    """{symbol: node}, of all that the library defines."""
    symbols = {}
    for line in run(['nm', '-D', '--defined-only', library]).splitlines():
        _, kind, name = line.split()
        if kind == 'A':  # the nodes themselves
            continue
        name, _, node = name.partition('@')
        symbols[name] = node.lstrip('@')
    return symbols


def mapped(path):
    """{symbol: node}, of all that the map lists as global."""
    symbols = {}
    text = without_comments(open(path).read())
    for node, body in re.findall(r'(\S+)\s*\{(.*?)\}', text, re.S):
        globals_ = re.search(r'global:(.*?)(?:local:|$)', body, re.S)
        for name in re.findall(r'[^\s;]+', globals_.group(1)):
            if name in symbols:
                sys.exit(f'{name} is in two nodes')
            symbols[name] = node
    return symbols


def declared(headers):
    """The functions that the headers declare, inline ones included.

    The event notifier's helpers are inline and no symbols, by design.
    """
    names = set()
    for header in headers:
        text = without_comments(open(header).read())
        text = re.sub(r'\\\n', ' ', text)
        text = re.sub(r'^\s*#.*$', '', text, flags=re.M)
        text = re.sub(r'extern\s+\{', '', text)
        text = re.sub(r'\)\s*\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}', ');', text)
        text = re.sub(r'\btypedef\b[^;{]*;', '', text)
        names |= set(re.findall(r'\b(\w+)\s*\([^()]*\)\s*;', text))
    return {n for n in names if not n.startswith('event_notifier_')}


def main():
    need('nm')
    library, path, headers = sys.argv[1], sys.argv[2], sys.argv[3:]
    built, listed, public = exported(library), mapped(path), declared(headers)
    problems = []
    for name in sorted(built.keys() | listed.keys() | public):
        if name not in built:
            problems.append(f'{name}: not exported by the library')
        if name not in listed:
            problems.append(f'{name}: not in the map')
        if name not in public:
            problems.append(f'{name}: not declared in a public header')
        if not re.match(r'ioq_(?!_)', name):
            problems.append(f'{name}: not a public name')
        if name in built and name in listed and built[name] != listed[name]:
            problems.append(f'{name}: at {built[name]}, not {listed[name]}')
    if not built:
        problems.append('no symbol found')
    print(f'{len(built)} symbols')
    finish(problems)


main()
