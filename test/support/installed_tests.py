# SPDX-License-Identifier: LGPL-2.1-or-later
"""installed_tests.py FOLDER

Run at the end of `meson install`: writes a .test file for each test of suite
'api', for ginsttest-runner. The list is Meson's own, so that no test is left
out; one whose program is not installed is an error.

A test's name is its KIND of place and what it is called in the build, as
libioq/tmpfs/queue_rdwr-tmpfs.test; those without a place, and those that must
run alone, are in libioq/any.
"""
import json
import os
import shlex
import sys


def load(what):
    path = os.path.join(os.environ['MESON_BUILD_ROOT'], 'meson-info',
                        f'intro-{what}.json')
    with open(path) as file:
        return json.load(file)


def command(test, installed):
    """The test's command, with the names of the installed files."""
    words = []
    for word in test['cmd']:
        path = os.path.join(os.environ['MESON_BUILD_ROOT'], word)
        if '/' in word and os.path.exists(path) and path not in installed:
            sys.exit(f"{test['name']}: {word} is not installed: its program "
                     'needs `kwargs: api_program`')
        words.append(installed.get(path, word))
    variables = [f'{name}={value}' for name, value in test['env'].items()
                 if name != 'LD_LIBRARY_PATH' and not name.startswith('MESON')]
    return ['env', *variables, *words] if variables else words


def write(folder, test, words):
    at = [n for n, w in enumerate(words) if w.endswith('/place.sh')]
    kind = words[at[0] + 1] if at and test['is_parallel'] else 'any'
    os.makedirs(os.path.join(folder, kind), exist_ok=True)
    with open(os.path.join(folder, kind, test['name'] + '.test'), 'w') as file:
        file.write(f'[Test]\nType=session\nExec={shlex.join(words)}\n')


def main():
    folder = os.environ.get('DESTDIR', '') + sys.argv[1]
    installed = load('installed')
    tests = [t for t in load('tests')
             if any(s.split(':')[-1] == 'api' for s in t['suite'])]
    if not tests:
        sys.exit('no test to install')
    for test in tests:
        write(folder, test, command(test, installed))


main()
