# SPDX-License-Identifier: LGPL-2.1-or-later
"""version.py SOURCE VERSION

The version has its home in meson.build; the copies say the same. The releases'
dates have theirs in NEWS.md. The symbols that Debian is told of are those of the
map, with the release of each.
"""
import datetime
import os
import re
import sys

from common import finish, without_comments

NEWS = r'^## (?P<version>\S+) \((?P<date>.*)\)$', '%Y-%m-%d'
# What packages a release, newest first: version and day of each revision 1.
CHANGELOGS = {
    'debian/changelog': (
        r'^libioq \((?P<version>.*)-1\).*(?:\n.*)*?\n -- .*>  (?P<date>.*)$',
        '%a, %d %b %Y %H:%M:%S %z'),
    'rpm/libioq.spec': (
        r'^\* (?P<date>\w+ \w+ \d+ \d+) .* - (?P<version>.*)-1$',
        '%a %b %d %Y'),
}


def releases(text, pattern, form):
    """[(version, day)], as the text has them."""
    return [(m['version'], day(m['date'], form))
            for m in re.finditer(pattern, text, re.M)]


def day(text, form):
    """None if there is no such day, or if it is another day of the week."""
    try:
        date = datetime.datetime.strptime(text, form)
    except ValueError:
        return None
    return date.date() if date.strftime(form) == text else None


def without(path):
    if not os.path.exists(path):
        # A tarball has no packaging: distributions bring their own.
        print(f'{path}: not here')
    return not os.path.exists(path)


def check_changelogs(source, version):
    with open(os.path.join(source, 'NEWS.md')) as file:
        news = releases(file.read(), *NEWS)
    if not news or news[0][0] != version or None in dict(news).values():
        yield f'NEWS.md begins with {news[:1]}, meson.build says {version}'
    for name, form in CHANGELOGS.items():
        path = os.path.join(source, name)
        if without(path):
            continue
        with open(path) as file:
            text = file.read()
        packaged = releases(text, *form)
        if not packaged or packaged[0] != news[0]:
            yield f'{name} begins with {packaged[:1]}, NEWS.md with {news[:1]}'
        yield from (f'{name}: NEWS.md knows no release {release}'
                    for release in packaged if release not in news)
        field = re.search(r'^Version: *(\S+)$', text, re.M)
        if field and field.group(1) != version:
            yield f'{name}: Version is {field.group(1)}'


def mapped(text):
    """Lines as in the symbols file, of what the map lists."""
    for node, body in re.findall(r'(\S+)\s*\{(.*?)\}', text, re.S):
        release = node.rpartition('_')[2] + '.0'
        names = re.search(r'global:(.*?)(?:local:|$)', body, re.S).group(1)
        for name in [node, *re.findall(r'[^\s;]+', names)]:
            yield f' {name}@{node} {release}'


def check_symbols(source):
    path = os.path.join(source, 'debian/libioq1.symbols')
    if without(path):
        return
    with open(os.path.join(source, 'lib/libioq.map')) as file:
        listed = set(mapped(without_comments(file.read())))
    with open(path) as file:
        told = {line.rstrip('\n') for line in file if line.startswith(' ')}
    yield from (f'the map or debian/libioq1.symbols alone has{line}'
                for line in sorted(listed ^ told))


def main():
    source, version = sys.argv[1:]
    finish([*check_changelogs(source, version), *check_symbols(source)])


main()
