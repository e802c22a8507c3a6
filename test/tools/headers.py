# SPDX-License-Identifier: LGPL-2.1-or-later
"""headers.py FOLDER,FOLDER HEADER...

Each public header compiles alone, and all of them in any order, without a
warning, in C and in C++, with every compiler that is there.
"""
import itertools
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from common import finish, skip, strict

COMPILERS = {
    'gcc': ('c', ['c99', 'c11']),
    'clang': ('c', ['c99', 'c11']),
    'g++': ('c++', ['c++11']),
    'clang++': ('c++', ['c++11']),
}
FLAGS = ['-fsyntax-only', '-Wall', '-Wextra', '-pedantic', '-Werror']


def public_names(folders, headers):
    """The headers as a program names them: <ioq.h>, <ioq/version.h>."""
    names = []
    for header in headers:
        header = os.path.realpath(header)
        under = [f for f in folders if header.startswith(f + os.sep)]
        if not under:
            sys.exit(f'{header} is in no include folder')
        names.append(os.path.relpath(header, max(under, key=len)))
    return names


def orders(names):
    """Each alone, each twice, each pair both ways, all of them forth and back.

    What one header does to the next shows in a pair.
    """
    yield from ([name] for name in names)
    yield from ([name, name] for name in names)
    yield from map(list, itertools.permutations(names, 2))
    yield list(names)
    yield list(reversed(names))


def compile_one(job):
    compiler, language, standard, includes, order = job
    text = ''.join(f'#include <{name}>\n' for name in order)
    text += 'int not_empty;\n'
    done = subprocess.run(
        [compiler, f'-std={standard}', *FLAGS, *includes, '-x', language, '-'],
        input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode == 0:
        return None
    return f'{compiler} -std={standard}: {" ".join(order)}\n{done.stdout}'


def main():
    folders = [os.path.realpath(f) for f in sys.argv[1].split(',')]
    names = public_names(folders, sys.argv[2:])
    missing = [c for c in COMPILERS if not shutil.which(c)]
    if missing and (strict() or len(missing) == len(COMPILERS)):
        skip('no ' + ', '.join(missing))
    includes = [f'-I{folder}' for folder in folders]
    jobs = [(compiler, language, standard, includes, order)
            for compiler, (language, standards) in COMPILERS.items()
            if compiler not in missing
            for standard in standards
            for order in orders(names)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = [p for p in pool.map(compile_one, jobs) if p]
    print(f'{len(names)} headers, {len(jobs)} compilations')
    finish(problems)


main()
