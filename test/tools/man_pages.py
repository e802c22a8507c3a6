# SPDX-License-Identifier: LGPL-2.1-or-later
"""man_pages.py LIBRARY --headers FILE... --pages FILE...

Holds the manual pages to the library: every exported symbol has its page and
every page its symbol, synopses say what the headers say, every public constant
is explained somewhere, and mandoc finds nothing to warn of.
"""

import re
import subprocess
import sys
from pathlib import Path

from common import finish, need, run, without_comments

failures = []


def fail(*words):
    failures.append(' '.join(map(str, words)))


def squeeze(text):
    """One space between words, none around stars, commas, parentheses."""
    return re.sub(r'\s*([*(),;])\s*', r'\1', ' '.join(text.split()))


def differ(what, pages, others):
    for name in sorted(set(pages) ^ set(others)):
        fail(name, 'is in', 'the pages' if name in pages else what, 'alone')


def prototypes(text):
    """The functions and function types of a header: {name: declaration}."""
    text = re.sub(r'^\s*#.*(\\\n.*)*$', '', text, flags=re.M)
    text = re.sub(r'\bstatic inline\b|\bextern "C" \{', '', text)
    found = re.findall(r'([\w*\s]+?)\b((?:ioq_|IOQ)\w+)\(([^()]*)\)\s*[;{]',
                       text)
    return {name: squeeze(f'{before} {name}({arguments})')
            for before, name, arguments in found}


def constants(text):
    """The flags, enumerators and numbers that a header defines."""
    return set(re.findall(r'^#define (IOQ_\w+)[ (]', text, flags=re.M) +
               re.findall(r'^\s+(IOQ_\w+) = ', text, flags=re.M))


def section(page, name):
    match = re.search(rf'^\.Sh {name}\n(.*?)(?=^\.Sh|\Z)', page, re.M | re.S)
    return match.group(1) if match else ''


def arguments_of(macro):
    """Splits a macro's arguments as mdoc does, at spaces outside of quotes."""
    return [quoted or plain
            for quoted, plain in re.findall(r'"([^"]*)"|(\S+)', macro)]


def synopsis(page):
    """The declarations that a page shows: {name: declaration}."""
    shown, kind, name, parts = {}, '', '', []
    for line in section(page, 'SYNOPSIS').splitlines():
        macro, _, rest = line.partition(' ')
        if macro == '.Ft':
            kind = rest
        elif macro in ('.Fn', '.Fo'):
            name, *parts = arguments_of(rest)
        elif macro == '.Fa':
            parts += arguments_of(rest)
        if macro in ('.Fn', '.Fc'):
            shown[name] = squeeze(f"{kind} {name}({', '.join(parts)})")
    return shown


def check_page(path, page):
    names = re.findall(r'^\.Nm (\S+)', section(page, 'NAME'), re.M)
    shown = synopsis(page)
    if path.suffix == '.3':
        if path.stem not in names:
            fail(path.name, 'does not have its own name')
        differ(f'the synopsis of {path.name}', names, shown)
    return shown


def exported(library):
    lines = run(['nm', '-D', '--defined-only', library]).splitlines()
    return {line.split()[-1].split('@')[0] for line in lines
            if line.split()[-2] != 'A'}


def lint(paths):
    done = subprocess.run(['mandoc', '-T', 'lint', '-W', 'warning', *paths],
                          capture_output=True, text=True)
    if done.returncode or done.stdout or done.stderr:
        fail('mandoc:', done.stdout, done.stderr)


def main(library, *files):
    need('mandoc', 'nm')
    split = files.index('--pages')
    headers, paths = files[1:split], [Path(f) for f in files[split + 1:]]
    header = without_comments('\n'.join(Path(h).read_text() for h in headers))
    pages = {path: path.read_text() for path in paths}
    shown = {}
    for path, page in pages.items():
        shown.update(check_page(path, page))
    declared = prototypes(header)
    calls = {n for n, text in shown.items() if not text.startswith('typedef')}

    if not declared or not shown:
        fail('nothing to compare')
    differ('the headers', shown, declared)
    differ('the library', calls, exported(library))
    for name in set(shown) & set(declared):
        if shown[name] != declared[name]:
            fail(f'page:   {shown[name]}\nheader: {declared[name]}')
    text = '\n'.join(pages.values())
    for name in sorted(constants(header)):
        if not re.search(rf'\b{name}\b', text) and not name.endswith('_H'):
            fail(name, 'is not explained in any page')
    lint(paths)


main(*sys.argv[1:])
finish(failures)
