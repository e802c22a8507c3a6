# SPDX-License-Identifier: LGPL-2.1-or-later
"""pitfalls.py SOURCE

Each of the sixty-two pitfalls of doc/reliability.md is met by a test that bears
its number, or cannot happen by design; and each test named there exists.
"""
import glob
import os
import re
import sys

from common import finish

LAST = 62
BY_DESIGN = 'Cannot happen by design'

# The tests of the handle alone; all others are the queue's or of both.
HANDLE = re.compile(r'(handle_|uring|learn|engine)')


def rows(path):
    """(number, how, tests) of each row of the table."""
    for line in open(path):
        row = re.match(r'\| (\d+) \|([^|]*)\|([^|]*)\|([^|]*)\|$', line)
        if row:
            yield int(row[1]), row[3].strip(), row[4].strip()


def numbers_in(path):
    """The pitfalls that the comments and the names in a file bear."""
    text = open(path, errors='replace').read()
    return {int(n) for n in re.findall(r'(?<![A-Za-z0-9])P(\d+)(?!\w)', text)}


def bearers(source):
    """{number: files that bear it, from the top folder}."""
    found = {}
    for path in glob.glob(os.path.join(source, 'test', '*', '*.*')):
        name = os.path.relpath(path, source)
        if name.endswith(('.c', '.sh')) and not name.startswith('test/tools/'):
            for number in numbers_in(path):
                found.setdefault(number, set()).add(name)
    return found


def check_reference(number, reference, source, found):
    """One of 'test/unit (P7)', 'test/unit, handle (P7)', 'test/x/y.c'."""
    where = re.fullmatch(r'(test/\w+)(, handle)? \(P(\d+)\)', reference)
    if not where:
        path = reference.split(',')[0]
        if not os.path.isfile(os.path.join(source, path)):
            return f'row {number}: there is no {path}'
        return None
    folder, handle, named = where[1], bool(where[2]), int(where[3])
    if named != number:
        return f'row {number}: names P{named}'
    if not any(os.path.dirname(name) == folder and
               bool(HANDLE.match(os.path.basename(name))) == handle
               for name in found.get(number, ())):
        return f'row {number}: no test that is {reference}'
    return None


def check_row(number, how, tests, source, found):
    problems = []
    if BY_DESIGN not in how and not found.get(number):
        problems.append(f'row {number}: no test bears P{number}')
    if tests == '-':
        if BY_DESIGN not in how:
            problems.append(f'row {number}: neither a test nor a reason')
        return problems
    for reference in re.split(r'; ', tests):
        problem = check_reference(number, reference, source, found)
        if problem:
            problems.append(problem)
    return problems


def main():
    source = os.path.realpath(sys.argv[1])
    table = list(rows(os.path.join(source, 'doc', 'reliability.md')))
    found = bearers(source)
    problems = []
    if [number for number, _, _ in table] != list(range(1, LAST + 1)):
        problems.append('the table does not have rows 1 to 62, in order')
    for number in sorted(found):
        if not 1 <= number <= LAST:
            problems.append(f'{sorted(found[number])[0]}: there is no P{number}')
    for row in table:
        problems += check_row(*row, source, found)
    borne = sum(1 for number, _, _ in table if number in found)
    print(f'{len(table)} rows, {borne} borne by tests')
    finish(problems)


main()
