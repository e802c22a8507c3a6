# SPDX-License-Identifier: LGPL-2.1-or-later
"""contract.py HEADER UNTESTED TEST...

Each sentence of the header's comments is quoted above a test that is for it, or
stands in the file UNTESTED with the reason why none can be; and what is quoted
stands in the header.

Quotes and sentences are compared word by word, so that a test may quote a part
of a sentence; no word may be left over.
"""
import re
import sys
from pathlib import Path

from common import finish

# What says nothing that could be tested.
IDLE = [r'Since 1\.\d+\.', r'SPDX-License-Identifier: \S+', r'IOQ_HANDLE_H']
# What may be left over, as it says nothing by itself.
LABELS = ['Results:', 'Order:', 'Threads:', 'or:', 'Returns 0;']


def comments(text):
    """The texts of the comments, without what makes them comments."""
    for comment in re.findall(r'/\*(.*?)\*/', text, re.S):
        comment = re.sub(r'^[*<]*', '', comment)
        yield re.sub(r'^\s*\* ?', '', comment, flags=re.M)


def without_code(comment):
    """Lines that stand four and more columns in are examples."""
    kept, code = [], False
    for line in comment.split('\n'):
        code = line.startswith('    ') and (code or kept[-1:] == [''])
        kept.append('' if code else line.strip())
    return '\n'.join(kept)


def words(text):
    return text.replace('"', '').split()


def header_comments(path):
    """Each comment as a list of words."""
    for comment in comments(Path(path).read_text()):
        comment = without_code(comment)
        for pattern in IDLE:
            comment = re.sub(pattern.replace(' ', r'\s+'), '', comment)
        if words(comment):
            yield words(comment)


def quotes(path):
    for comment in comments(Path(path).read_text()):
        for quote in re.findall(r'"([^"]+)"', comment):
            yield words(quote)


def untested(path):
    """Lines of the form: quote | reason."""
    for line in Path(path).read_text().splitlines():
        if line.startswith('#') or not line.strip():
            continue
        quote, bar, reason = line.partition(' | ')
        if not bar or not reason.strip():
            finish([f'{path}: no reason given: {line}'])
        yield words(quote)


class Header:
    def __init__(self, path):
        self.comments = list(header_comments(path))
        self.covered = [[False] * len(c) for c in self.comments]

    def cover(self, quote):
        """Returns how often the quote is found; marks its words.

        A single word is quoted only if it is all that a comment says.
        """
        found = 0
        for comment, covered in zip(self.comments, self.covered):
            if len(quote) == 1 and len(comment) > 1:
                continue
            for i in range(len(comment) - len(quote) + 1):
                if all(same(a, b) for a, b in
                       zip(comment[i:i + len(quote)], quote)):
                    covered[i:i + len(quote)] = [True] * len(quote)
                    found += 1
        return found

    def left_over(self):
        for comment, covered in zip(self.comments, self.covered):
            run = []
            for word, done in [*zip(comment, covered), ('', True)]:
                if not done:
                    run.append(word)
                elif run:
                    if ' '.join(run) not in LABELS:
                        yield ' '.join(run)
                    run = []


def same(word, quoted):
    """A quote may end before the punctuation."""
    return word == quoted or word.rstrip('.,;:') == quoted


def main():
    header, unsaid, tests = Header(sys.argv[1]), sys.argv[2], sys.argv[3:]
    problems, count = [], 0
    for path in tests:
        for quote in quotes(path):
            count += 1
            if not header.cover(quote):
                problems.append(f'{path}: the header has no such words: '
                                + ' '.join(quote))
    for quote in untested(unsaid):
        if not header.cover(quote):
            problems.append(f'{unsaid}: the header has no such words: '
                            + ' '.join(quote))
    problems += [f'not tested: {text}' for text in header.left_over()]
    if count < 10:
        problems.append(f'only {count} quotes found')
    total = sum(len(c) for c in header.comments)
    done = sum(sum(c) for c in header.covered)
    print(f'{count} quotes; {done} of {total} words of the header')
    finish(problems)


main()
