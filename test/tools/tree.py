# SPDX-License-Identifier: LGPL-2.1-or-later
"""tree.py layers|functions|calls|spdx|format SOURCE [BUILD]

The rules for the source tree that no compiler knows.
"""
import fnmatch
import os
import re
import subprocess
import sys

from common import finish, need, run, without_comments

# The layers of lib, top down. A file includes from below its own layer and, of
# its own, only the header that bears its name or the first part of it
# (engine_aio.c: engine_aio.h, engine.h). A new file needs its place here.
LAYERS = [
    ['api_*', 'compat', 'version'],
    ['handle', 'queue'],
    ['engine', 'engine_*'],
    ['aio', 'worker'],
    ['blocking', 'blocking_*'],
    ['request'],
    ['file'],
    ['learn'],
    ['sys_*'],
    ['error'],
    ['export', 'fifo', 'sized'],
]

# Calls of the kernel's AIO, eventfd and io_uring stay in the lowest files;
# liburing is the edge of the one engine that uses it.
EDGE = (r'io_(?:setup|submit|getevents|destroy|cancel|pgetevents)|syscall'
        r'|eventfd|io_uring_\w+')
AT_THE_EDGE = ['sys_*', 'engine_uring']

BANNED = {
    'ends the process': r'exit|_exit|_Exit|quick_exit|abort|assert|raise|kill',
    'prints': r'v?[fds]?printf|f?puts|f?putc|putchar|perror|psignal|err|errx'
              r'|warn|warnx|error|syslog',
    'touches signals': r'signal|sigaction|bsd_signal|sigset',
    'takes memory of unknown size from the stack': r'alloca|__builtin_alloca',
}
# sprintf is banned with the rest; snprintf, which prints into memory, is not.

LONGEST = 60


def lib_files(source):
    folder = os.path.join(source, 'lib')
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))
            if name.endswith(('.c', '.h'))]


def stem(path):
    return os.path.splitext(os.path.basename(path))[0]


def layer_of(name):
    for layer, patterns in enumerate(LAYERS):
        if any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
            return layer
    return None


def own_header(name, included):
    return name == included or name.startswith(included + '_')


def check_include(path, included):
    name, below = stem(path), stem(included)
    if layer_of(name) is None:
        return f'{path}: give {name} a layer in test/tools/tree.py'
    if layer_of(below) is None:
        return f'{path}: give {below} a layer in test/tools/tree.py'
    if own_header(name, below) or layer_of(below) > layer_of(name):
        return None
    return f'{path}: includes {included}, which is not below it'


def check_edge(path, text):
    if any(fnmatch.fnmatch(stem(path), pattern) for pattern in AT_THE_EDGE):
        return []
    return [f'{path}: {call} belongs to the kernel edge'
            for call in re.findall(rf'\b({EDGE})\s*\(', text)]


def check_layers(source):
    problems = []
    for path in lib_files(source):
        text = open(path).read()
        if layer_of(stem(path)) is None:
            problems.append(f'{path}: has no layer in test/tools/tree.py')
        for included in re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, re.M):
            problem = check_include(path, included)
            if problem:
                problems.append(problem)
        problems += check_edge(path, without_comments(text))
    return problems


def functions(text):
    """(name, lines) of each function, from its first line to its last."""
    head = []  # what stands in front of the body, since the last declaration
    body = None
    for line in text.split('\n'):
        if body is not None:
            body += 1
            if line.startswith('}'):
                name = re.search(r'(\w+)\s*\(', ' '.join(head))
                if name:  # otherwise it was a struct or a table
                    yield name.group(1), len(head) + body
                head, body = [], None
        elif line.startswith('{') or re.match(r'\w.*\{$', line):
            if not line.startswith('{'):
                head.append(line)
            body = 0 if not line.startswith('{') else 1
        elif not line.strip() or line.startswith('#') or line.endswith(';'):
            head = []
        else:
            head.append(line)


def check_functions(source):
    problems, count = [], 0
    paths = lib_files(source)
    for folder, _, names in os.walk(os.path.join(source, 'include')):
        paths += [os.path.join(folder, n) for n in names if n.endswith('.h')]
    for path in paths:
        for name, length in functions(without_comments(open(path).read())):
            count += 1
            if length > LONGEST:
                problems.append(f'{path}: {name} has {length} lines')
    if count < 10:
        problems.append(f'only {count} functions found')
    print(f'{count} functions')
    return problems


def check_calls(source, build):
    problems = []
    for path in lib_files(source):
        text = without_comments(open(path).read())
        for what, names in BANNED.items():
            problems += [f'{path}: {call} {what}' for call in
                         re.findall(rf'(?<![\w.>])({names})\s*\(', text)]
    sources = [path for path in lib_files(source) if path.endswith('.c')]
    for path in sources:  # the compiler knows a VLA better than we do
        run(['cc', '-std=gnu11', '-D_GNU_SOURCE', '-fsyntax-only',
             '-Werror=vla', '-Wno-pedantic',
             f'-I{source}/include', f'-I{build}/include',
             f'-I{build}/lib', path])
    return problems


def tracked_files(source):
    """What git knows, or in a tarball all that no build has made."""
    done = subprocess.run(['git', '-C', source, 'ls-files', '-co',
                           '--exclude-standard'], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True)
    if done.returncode == 0 and done.stdout:
        paths = [os.path.join(source, p) for p in done.stdout.splitlines()]
        return [p for p in paths if os.path.isfile(p)]
    found = []
    for folder, folders, files in os.walk(source):
        folders[:] = [f for f in folders
                      if f != '.git' and not f.startswith('build')]
        found += [os.path.join(folder, f) for f in files]
    return found


# Licence texts, prose, which is shown to readers as it is, files whose form
# leaves no place for it, and what a fuzzer has found, by the sum of its bytes.
WITHOUT_SPDX = ['LICENSE', '*.md', '*.abi', 'debian/changelog',
                'debian/copyright', 'debian/source/format',
                '[0-9a-f]' * 40]


def check_spdx(source):
    problems = []
    for path in tracked_files(source):
        name = os.path.relpath(path, source)
        if any(fnmatch.fnmatch(known, pattern) for pattern in WITHOUT_SPDX
               for known in (name, os.path.basename(path))):
            continue
        example = name.startswith('doc/examples/')
        wanted = 'MIT' if example else 'LGPL-2.1-or-later'
        with open(path, errors='replace') as file:
            head = [file.readline() for _ in range(2)]
        if not any(re.search(rf'SPDX-License-Identifier: {re.escape(wanted)}'
                             r'(?![\w.-])', line) for line in head):
            problems.append(f'{path}: no line on {wanted}')
    return problems


def check_format(source):
    need('clang-format')
    files = [p for p in tracked_files(source) if p.endswith(('.c', '.h'))]
    done = subprocess.run(['clang-format', '--dry-run', '-Werror',
                           '--style=file', *files], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout.splitlines() or (
        ['clang-format failed'] if done.returncode else [])


def main():
    check, source = sys.argv[1], os.path.realpath(sys.argv[2])
    checks = {'layers': check_layers, 'functions': check_functions,
              'calls': lambda top: check_calls(top, sys.argv[3]),
              'spdx': check_spdx, 'format': check_format}
    finish(checks[check](source))


main()
