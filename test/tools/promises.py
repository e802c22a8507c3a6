# SPDX-License-Identifier: LGPL-2.1-or-later
"""promises.py SOURCE [--list]

Each sentence of include/ioq.h stands in test/promises.md, quoted, with the
tests that prove it or the reason why there is nothing to prove; and each test
that is named there exists. --list prints the sentences instead.

In promises.md a paragraph of lines that begin with '> ' quotes one sentence or
more of the header; one that begins with a number in bold is in our own words.
The list item below it names files in test and, after each, names in them:

    - unit/queue_pool.c a_put_of_null_is_einval; api/queue_depth.c ...
    - nothing: it asks something of the caller
"""
import os
import re
import sys

from common import finish

HEADER = os.path.join('include', 'ioq.h')
SAME_EVERYWHERE = re.compile(r'Since \d+\.\d+(, also as a symbol of the '
                             r'library)?\.')  # symbols.py compares those


def comments(text):
    """The lines of each comment that is for the reader of the contract."""
    for body in re.findall(r'/\*\*?\n(.*?)\*/', text, re.S):
        yield [re.sub(r'^ \*( |$)', '', line) for line in body.split('\n')]


def paragraphs(lines):
    """Running text as one string each; so is each row of a list of errors."""
    text, row = [], False
    for line in lines + ['']:
        starts_row = re.match(r'  ?-E[A-Z]+', line)
        if not line.strip() or starts_row:
            yield ' '.join(text)
            text, row = [], bool(starts_row)
        if starts_row or row or not line.startswith('    '):  # else code
            text += line.split()


def sentences(text):
    for lines in comments(text):
        for paragraph in paragraphs(lines):
            for sentence in re.split(r'(?<=[.;]) (?=\S)', paragraph):
                if sentence and sentence != 'Returns 0, or:' and \
                        not SAME_EVERYWHERE.fullmatch(sentence):
                    yield sentence


def squeezed(text):
    return re.sub(r'\s+', ' ', text)


def entries(text):
    """(promise, proof) of each entry; the proof is '' if there is none."""
    promise = None
    for block in re.split(r'\n\s*\n', text) + ['> end']:
        if block.startswith(('> ', '**')):
            if promise is not None:
                yield promise, ''
            promise, _, proof = block.partition('\n- ')
            promise = squeezed(re.sub(r'^> ?', '', promise, flags=re.M))
            if proof:
                yield promise, squeezed(proof)
                promise = None
        elif block.startswith('- ') and promise is not None:
            yield promise, squeezed(block[2:])
            promise = None


def check_tests(proof, source):
    """The problems of a list of files and names."""
    if re.match(r'nothing: \w', proof):
        return []
    problems = []
    for part in proof.rstrip('.').split('; '):
        name, *tests = part.replace(',', ' ').split()
        path = os.path.join(source, 'test', name)
        if not os.path.isfile(path):
            problems.append(f'there is no test/{name}')
            continue
        text = open(path).read()
        for test in tests:
            if f'START_TEST({test})' not in text:
                problems.append(f'test/{name} has no test {test}')
            elif not re.search(rf'add_\w+\(\s*\w+,\s*{test}\b', text):
                problems.append(f'test/{name} does not run {test}')
        if name.endswith('.c') and not tests and 'START_TEST' in text:
            problems.append(f'test/{name}: which of its tests?')
    return problems


def main():
    source = os.path.realpath(sys.argv[1])
    wanted = list(sentences(open(os.path.join(source, HEADER)).read()))
    if '--list' in sys.argv:
        print('\n'.join(wanted))
        return
    listed = list(entries(open(os.path.join(source, 'test',
                                            'promises.md')).read()))
    problems = []
    for promise, proof in listed:
        for problem in check_tests(proof, source) if proof else ['no proof']:
            problems.append(f'{problem}: {promise}')
    proven = ' | '.join(promise for promise, proof in listed if proof)
    for sentence in wanted:
        if sentence not in proven:
            problems.append(f'{HEADER}: not in test/promises.md: {sentence}')
    if len(wanted) < 50:
        problems.append(f'only {len(wanted)} sentences found in {HEADER}')
    print(f'{len(wanted)} sentences, {len(listed)} entries')
    finish(problems)


main()
