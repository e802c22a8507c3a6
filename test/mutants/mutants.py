# SPDX-License-Identifier: LGPL-2.1-or-later
"""mutants.py SOURCE BUILD [WORDS]

A test of the tests: breaks the library in each of the ways that breaks.py lists
and demands that a test notices: for one that stands for a pitfall, a test that
bears its number. Unbroken, these tests must pass, lest they fail for another
reason. With WORDS, only those whose description holds one of them.

Nothing is configured anew: of the build that is there, the broken file alone is
compiled, and linked in front of the archive that has the right one.
"""
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

from breaks import BREAKS

SOURCE, BUILD = (os.path.realpath(path) for path in sys.argv[1:3])
LIB = os.path.join(SOURCE, 'lib')
REQUESTS = '20000'
# The pitfalls that the queue can meet: each is to have a break.
ROWS = {*range(1, 18), *range(25, 32), 35, *range(39, 46), 53, 62}
STRICT = os.environ.get('IOQ_TEST_NO_SKIP') == '1'


class Unusable(Exception):
    """The break does not apply, or what it gives does not compile."""


def run(command, folder, env=None, timeout=300):
    """(status, output); 124 for one that took too long."""
    try:
        done = subprocess.run(command, cwd=folder, text=True, errors='replace',
                              env=dict(os.environ, **(env or {})),
                              stdout=subprocess.PIPE, timeout=timeout,
                              stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return 124, 'took too long'
    return done.returncode, done.stdout


def must(command, folder):
    status, output = run(command, folder)
    if status:
        raise Unusable(f'{" ".join(command)}\n{output}')
    return output


def tests_of(path):
    """{test: pitfalls that it bears, by its comment or its body}."""
    tests = {}
    pattern = re.compile(r'((?:/\*(?:[^*]|\*(?!/))*\*/\n)?)'
                         r'START_TEST\((\w+)\)(.*?)\nEND_TEST', re.S)
    for comment, name, body in pattern.findall(open(path).read()):
        tests[name] = {int(n) for n in re.findall(r'\bP(\d+)\b',
                                                  comment + body)}
    return tests


class Build:
    """What the build folder knows: how each file is compiled and linked."""

    def __init__(self):
        self.compiles = {}
        with open(os.path.join(BUILD, 'compile_commands.json')) as file:
            for entry in json.load(file):
                self.compiles[entry['output']] = shlex.split(entry['command'])
        self.links = {}
        self.lock = threading.Lock()

    def link_of(self, program):
        with self.lock:
            if program not in self.links:
                lines = must(['ninja', '-t', 'commands', program], BUILD)
                self.links[program] = shlex.split(lines.splitlines()[-1])
        return list(self.links[program])

    def objects_of(self, name):
        """The outputs that are compiled from that file of lib, for tests."""
        suffix = f'lib_{name}.o'
        return [out for out in self.compiles
                if out.endswith(suffix) and out.startswith('test/unit/')]

    def compile(self, output, source, to, folder, more=()):
        """As output was compiled, but from another file, to another."""
        words, command = iter(self.compiles[output]), []
        for word in words:
            if word in ('-MQ', '-MF', '-o', '-c'):
                next(words)
            elif word not in ('-MD', '-Werror'):
                command.append(word)
        # Before the other options; there may be a ccache before the compiler.
        first = next(i for i, w in enumerate(command) if w.startswith('-'))
        command[first:first] = [f'-I{folder}']
        must(command + ['-w', *more, '-o', to, '-c', source], BUILD)


class Program:
    """A test program, and those of its tests that are to notice."""

    def __init__(self, name, row, only, setting):
        folder, name = name.split('/')
        self.path = f'test/unit/unit_{name}' if folder == 'unit' \
            else f'test/{folder}/{name}'
        self.source = os.path.join(SOURCE, 'test', folder, name + '.c')
        tests = tests_of(self.source)
        self.tests = only or sorted(t for t, rows in tests.items()
                                    if row in rows)
        for test in self.tests:
            if test not in tests:
                raise Unusable(f'{name}.c has no test {test}')
        if not self.tests:
            raise Unusable(f'no test of {name}.c bears P{row}')
        self.env = {'IOQ_TEST_ONLY': ','.join(self.tests),
                    'IOQ_TEST_REQUESTS': REQUESTS, 'IOQ_TEST_QUICK': '1',
                    **setting}

    def key(self):
        return self.path, tuple(sorted(self.env.items()))

    def run(self, executable, folder, seconds):
        env = dict(self.env, CK_DEFAULT_TIMEOUT=str(seconds))
        # The model at a depth where one request makes a difference.
        more = [REQUESTS, '7'] if self.path.endswith('_model') else []
        return run([executable, *more], folder, env)

    def noticed(self, status, output):
        """The test that failed, or None."""
        if status in (0, 77) or 'no test was run' in output:
            return None
        for test in re.findall(r':[FE]:[^:]*:(\w+):', output):
            if test in self.tests:
                return test
        return None


def settings(breakage):
    """Completions come from the ring or by system call: both, unless told."""
    if breakage.mode is not None:
        return [{'IOQ_AIO_RING': breakage.mode}]
    return [{'IOQ_AIO_RING': '1'}, {'IOQ_AIO_RING': '0'}]


def programs(breakage):
    return [Program(name, breakage.row, breakage.only, setting)
            for name in breakage.programs for setting in settings(breakage)]


def broken_tree(breakage, folder):
    """A folder with all of lib, but for the file that is broken."""
    text = open(os.path.join(LIB, breakage.file)).read()
    for old, new in breakage.changes:
        # A text as it is, or a pattern where what stands around it may change.
        pattern = re.compile(re.escape(old)) if isinstance(old, str) else old
        times = len(pattern.findall(text))
        if times != 1:
            raise Unusable(f'{pattern.pattern!r} is {times} times in '
                           f'{breakage.file}')
        text = pattern.sub(lambda match, new=new: new, text)
    for name in os.listdir(LIB):
        if name != breakage.file and name.endswith(('.c', '.h')):
            os.symlink(os.path.join(LIB, name), os.path.join(folder, name))
    with open(os.path.join(folder, breakage.file), 'w') as file:
        file.write(text)


def affected(breakage):
    """The files of lib to compile: the broken one, or who includes it."""
    if breakage.file.endswith('.c'):
        return [breakage.file]
    include = re.compile(rf'#include "{re.escape(breakage.file)}"')
    headers = {breakage.file}
    for name in os.listdir(LIB):
        if name.endswith('.h') and include.search(open(f'{LIB}/{name}').read()):
            headers.add(name)
    return [name for name in os.listdir(LIB) if name.endswith('.c') and
            any(f'"{header}"' in open(f'{LIB}/{name}').read()
                for header in headers)]


def link_broken(build, breakage, program, folder):
    """The program with the broken file in it."""
    executable = os.path.join(folder, os.path.basename(program.path))
    if os.path.exists(executable):
        return executable
    command, front = build.link_of(program.path), []
    for name in affected(breakage):
        mine = [out for out in build.objects_of(name)
                if out.startswith(program.path + '.p/')]
        output = (mine or [out for out in build.objects_of(name)
                           if '.a.p/' in out])[0]
        target = os.path.join(folder, f'{os.path.basename(executable)}.{name}.o')
        build.compile(output, os.path.join(folder, name), target, folder)
        if mine:
            command[command.index(mine[0])] = target
        else:
            front.append(target)
    if breakage.file.endswith('.h'):  # inline functions, in the test itself
        own = next(out for out in build.compiles
                   if out.startswith(program.path + '.p/'))
        target = executable + '.test.o'
        build.compile(own, program.source, target, folder)
        command[command.index(own)] = target
    at = command.index('-o')
    command[at + 1:at + 2] = [executable, *front]
    must(command, BUILD)
    return executable


def try_break(build, breakage):
    """Who noticed, or None."""
    with tempfile.TemporaryDirectory() as folder:
        broken_tree(breakage, folder)
        if breakage.threads:
            return try_threads(build, breakage, folder)
        for program in programs(breakage):
            executable = link_broken(build, breakage, program, folder)
            test = program.noticed(*program.run(executable, folder, 4))
            if test:
                return f'{os.path.basename(program.source)} {test}'
    return None


class Threads:
    """All of the library under ThreadSanitizer; harmless races show there.

    Objects are made once; a break has one of its own in place of its file's.
    """

    TESTS = {'unit/ring_threads': ['unit/ring_threads.c'],
             'api/queue_threads': ['api/queue_threads.c', 'api/rig.c'],
             'api/handle_shared': ['api/handle_shared.c', 'api/engines.c']}
    SUPPORT = ['child.c', 'place.c', 'runner.c']
    FLAGS = ['-fsanitize=thread', '-O1', '-g']

    def __init__(self, build, folder):
        self.build, self.folder, self.objects = build, folder, {}
        lib = {name: out for name in os.listdir(LIB) if name.endswith('.c')
               for out in build.compiles
               if re.fullmatch(rf'lib/libioq\.\w[^/]*/{re.escape(name)}\.o',
                               out)}
        self.lib = lib
        jobs = [(out, os.path.join(LIB, name)) for name, out in lib.items()]
        for name in {f for files in self.TESTS.values() for f in files} | \
                {f'support/{name}' for name in self.SUPPORT}:
            jobs.append((self.find(name), os.path.join(SOURCE, 'test', name)))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda job: self.compile(*job), jobs))

    def find(self, name):
        end = f'/{os.path.basename(name)}.o'
        top = f'test/{os.path.dirname(name)}/'
        return next(out for out in self.build.compiles
                    if out.startswith(top) and out.endswith(end))

    def compile(self, out, source):
        target = os.path.join(self.folder, out.replace('/', '_'))
        self.build.compile(out, source, target, LIB, self.FLAGS)
        self.objects[out] = target

    def link(self, name, executable, instead):
        """instead: {an output of lib: the object to take for it}."""
        objects = [instead.get(out, self.objects[out])
                   for out in self.lib.values()]
        objects += [self.objects[self.find(f)] for f in self.TESTS[name] +
                    [f'support/{s}' for s in self.SUPPORT]]
        uring = ['-luring'] if 'engine_uring.c' in self.lib else []
        flags = must(['pkg-config', '--libs', 'check'], BUILD).split()
        must(['cc', '-fsanitize=thread', '-o', executable, *objects, *flags,
              '-laio', *uring, '-pthread'], BUILD)

    def passes(self, name, executable, mode):
        env = {'TSAN_OPTIONS': 'halt_on_error=1:history_size=7', 'IOQ_TEST_QUICK': '1',
               'IOQ_TEST_REQUESTS': '10000', 'CK_DEFAULT_TIMEOUT': '60'}
        if mode is not None:
            env['IOQ_AIO_RING'] = mode
        arguments = ['threads'] if name == 'api/handle_shared' else []
        status, output = run([executable, *arguments],
                             os.path.dirname(executable), env)
        return status == 0, output


THREADS = None


def try_threads(build, breakage, folder):
    out = THREADS.lib[breakage.file]
    target = os.path.join(folder, 'broken.o')
    build.compile(out, os.path.join(folder, breakage.file), target, folder,
                  Threads.FLAGS)
    for name in breakage.programs:
        executable = os.path.join(folder, os.path.basename(name))
        THREADS.link(name, executable, {out: target})
        if not THREADS.passes(name, executable, breakage.mode)[0]:
            return f'{os.path.basename(name)}.c, under ThreadSanitizer'
    return None


def unbroken(build, breaks):
    """Runs all that is to notice; returns what fails, and what cannot run."""
    wanted, failures, missing = {}, [], set()
    for breakage in breaks:
        if not breakage.threads:
            wanted.update((p.key(), p) for p in programs(breakage))

    def check(program):
        status, output = program.run(os.path.join(BUILD, program.path), BUILD,
                                     60)
        if status == 77:
            missing.add(program.path)
        elif status:
            failures.append(f'{program.path} fails on the unbroken library: '
                            f'{program.env["IOQ_TEST_ONLY"]}\n{output}')

    with ThreadPoolExecutor(2 * os.cpu_count()) as pool:
        list(pool.map(check, wanted.values()))
    return failures, missing


def unbroken_threads(breaks, folder):
    failures = []
    names = {name for b in breaks if b.threads for name in b.programs}
    for name in sorted(names):
        executable = os.path.join(folder, os.path.basename(name))
        THREADS.link(name, executable, {})
        passes, output = THREADS.passes(name, executable, None)
        if not passes:
            failures.append(f'{name} fails on the unbroken library\n{output}')
    return failures


def report(build, breakage):
    """A line for the reader, and whether all is well."""
    row = f'P{breakage.row}' if breakage.row else '-'
    title = f'{row:4} {breakage.what}'
    try:
        who = try_break(build, breakage)
    except Unusable as problem:
        return f'UNUSABLE: {title}\n{problem}', False
    if who:
        return f'{title}: {who}', True
    return f'NOT NOTICED: {title}', False


def main():
    global THREADS
    breaks = [b for b in BREAKS if not sys.argv[3:] or
              any(word in f'P{b.row} {b.what} {b.file}'
                  for word in sys.argv[3:])]
    bare = sorted(ROWS - {b.row for b in BREAKS})
    if bare:
        sys.exit(f'mutants: no break for rows {bare}')
    build = Build()
    with tempfile.TemporaryDirectory() as folder:
        try:
            failures, missing = unbroken(build, breaks)
            if any(b.threads for b in breaks):
                THREADS = Threads(build, folder)
                failures += unbroken_threads(breaks, folder)
        except Unusable as problem:
            sys.exit(f'mutants: {problem}')
        if failures:
            sys.exit('\n'.join(failures))
        if missing:
            print('cannot run here:', *sorted(missing))
            breaks = [b for b in breaks if b.threads or not any(
                p.path in missing for p in programs(b))]
        with ThreadPoolExecutor(2 * os.cpu_count()) as pool:
            results = list(pool.map(lambda b: report(build, b), breaks))
    for line, _ in results:
        print(line)
    noticed = sum(1 for _, well in results if well)
    print(f'{noticed} of {len(results)} noticed')
    sys.exit(noticed != len(results) or bool(missing and STRICT))


main()
