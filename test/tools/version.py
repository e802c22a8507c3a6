# SPDX-License-Identifier: LGPL-2.1-or-later
"""version.py SOURCE VERSION

The version has its home in meson.build; the copies say the same. So do the
symbols that Debian is told of and the map, with the release of each.
"""
import os
import re
import sys

from common import finish, without_comments

# Where the first match of the pattern is a copy of the version.
COPIES = {
    'NEWS.md': r'^## (\S+)$',
    'debian/changelog': r'^libioq \((.*)-\d+\)',
    'rpm/libioq.spec': r'^Version: *(\S+)$',
    'rpm/libioq.spec ': r'^\* .* - (.*)-\d+$',
}


def mapped(text):
    """Lines as in the symbols file, of what the map lists."""
    for node, body in re.findall(r'(\S+)\s*\{(.*?)\}', text, re.S):
        release = node.rpartition('_')[2] + '.0'
        names = re.search(r'global:(.*?)(?:local:|$)', body, re.S).group(1)
        for name in [node, *re.findall(r'[^\s;]+', names)]:
            yield f' {name}@{node} {release}'


def main():
    source, version = sys.argv[1:]
    problems = []
    for name, pattern in COPIES.items():
        path = os.path.join(source, name.strip())
        if not os.path.exists(path):
            # A tarball has no packaging: distributions bring their own.
            print(f'{name}: not here')
            continue
        found = re.search(pattern, open(path).read(), re.M)
        if not found or found.group(1) != version:
            problems.append(f'{name.strip()} says '
                            f'{found.group(1) if found else "nothing"}, '
                            f'meson.build {version}')
    symbols = os.path.join(source, 'debian/libioq1.symbols')
    if os.path.exists(symbols):
        with open(os.path.join(source, 'lib/libioq.map')) as file:
            listed = set(mapped(without_comments(file.read())))
        told = {line.rstrip('\n') for line in open(symbols)
                if line.startswith(' ')}
        problems += [f'the map or debian/libioq1.symbols alone has{line}'
                     for line in sorted(listed ^ told)]
    finish(problems)


main()
