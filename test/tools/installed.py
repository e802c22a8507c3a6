# SPDX-License-Identifier: LGPL-2.1-or-later
"""installed.py MESON SOURCE

Installs the library in several ways into a folder of its own, and uses it from
outside as a distribution's user would: by pkg-config alone.
"""
import errno
import glob
import os
import re
import shlex
import sys
import tempfile

from common import finish, need, run

OUTSIDE = '''
#include <ioq.h>
#include <stdio.h>
#include <unistd.h>

static void done(struct iocb *iocb, ssize_t ret, void *opaque)
{
    *(ssize_t *)opaque = ret;
    (void)iocb;
}

int main(void)
{
    char text[4] = "ioq", back[4] = "";
    struct iovec iov = {text, 4};
    struct iocb iocb;
    FILE *file = tmpfile();
    ssize_t ret = -1;
    IOQueue ioq;

    ioq_init(&ioq, fileno(file), 1);
    ioq_put_iocb(&ioq, &iocb);
    ioq_rdwr(&ioq, false, &iov, 1, 0);
    if (ioq_submit(&ioq) != 1)
        return 1;
    while (ioq_run_completion(&ioq, done, &ret) == 0)
        ;
    ioq_cleanup(&ioq);
    printf("%d %s %u\\n", (int)ret, pread(fileno(file), back, 4, 0) == 4
           ? back : "nothing", ioq_version());
    return 0;
}
'''

# prefix, libdir and includedir below it; a leading / is an absolute one.
WAYS = [
    ('usr', 'lib', 'include'),
    ('opt/ioq', 'lib64', 'include'),
    ('usr/local', 'lib/x86_64-linux-gnu', 'include/emulators'),
    ('usr', '/elsewhere/lib', '/elsewhere/include'),
]

problems = []


def expect(what, got, wanted):
    if got != wanted:
        problems.append(f'{what}: {got!r}, not {wanted!r}')


def files_below(top, skip=None):
    found = set()
    for folder, folders, files in os.walk(top):
        if skip:
            folders[:] = [f for f in folders if not skip.match(f)]
        found |= {os.path.relpath(os.path.join(folder, f), top) for f in files}
    return found


class Installation:
    """One way to install, below root; with destdir, staged there."""

    def __init__(self, meson, source, root, way, staged):
        prefix, libdir, includedir = way
        self.base = '' if staged else root
        self.stage = root if staged else ''
        self.prefix = os.path.join(self.base + '/', prefix)
        self.libdir = self.below(libdir)
        self.includedir = self.below(includedir)
        build = tempfile.mkdtemp(prefix='build.', dir=os.path.dirname(root))
        run([meson, 'setup', build, source, '-Dtests=disabled',
             f'--prefix={self.prefix}', f'--libdir={self.libdir}',
             f'--includedir={self.includedir}'])
        run([meson, 'compile', '-C', build])
        command = [meson, 'install', '-C', build, '--no-rebuild']
        run(command + (['--destdir', root] if staged else []))

    def below(self, folder):
        if folder.startswith('/'):
            return self.base + folder
        return os.path.join(self.prefix, folder)

    def pkg_config(self, *arguments):
        env = dict(os.environ, PKG_CONFIG_LIBDIR=os.path.join(
            self.stage + self.libdir, 'pkgconfig'))
        env.pop('PKG_CONFIG_PATH', None)
        return run(['pkg-config', *arguments, 'libioq'], env=env).strip()

    def compile(self, text, program, *flags):
        source = program + '.c'
        with open(source, 'w') as file:
            file.write(text)
        run(['cc', *flags, '-o', program, source,
             *shlex.split(self.pkg_config('--cflags', '--libs'))])

    def run(self, program, *arguments):
        env = dict(os.environ, LD_LIBRARY_PATH=self.libdir)
        return run([program, *arguments], env=env)


def man_files(source):
    """The pages, by each name that they answer to."""
    names = set()
    for page in glob.glob(os.path.join(source, 'doc/man/ioq*.[37]')):
        section = page[-1]
        head = open(page).read().split('.Sh SYNOPSIS')[0]
        names |= {f'man{section}/{name}.{section}' for name in
                  re.findall(r'^\.Nm ((?:ioq|IOQ)\w*)', head, re.M)}
    return names


def check_files(way, source, version):
    """Exactly these, no more: a new header must be added here on purpose."""
    got = files_below(way.stage + '/' if way.stage else way.base)
    lib = os.path.relpath(way.libdir, way.base or '/')
    include = os.path.relpath(way.includedir, way.base or '/')
    wanted = {f'{lib}/libioq.so', f'{lib}/libioq.so.1',
              f'{lib}/libioq.so.1.{version.split(".", 1)[1]}',
              f'{lib}/pkgconfig/libioq.pc', f'{include}/ioq.h',
              f'{include}/ioq/event_notifier.h', f'{include}/ioq/handle.h',
              f'{include}/ioq/version.h'}
    share = os.path.relpath(os.path.join(way.prefix, 'share'), way.base or '/')
    wanted |= {f'{share}/man/{name}' for name in man_files(source)}
    expect('installed files', sorted(got), sorted(wanted))


def check_variables(way, version):
    variables = {'prefix': way.prefix, 'libdir': way.libdir,
                 'includedir': way.includedir}
    for name, wanted in variables.items():
        expect(name, way.pkg_config(f'--variable={name}'), wanted)
    expect('version', way.pkg_config('--modversion'), version)
    flags = way.pkg_config('--static', '--libs').split()
    if '-laio' not in flags:
        problems.append(f'--static --libs: no -laio in {flags}')


def check_outside_program(way, folder, version):
    program = os.path.join(folder, 'outside')
    # So that the linker lists all that the flags name, whatever its default.
    way.compile(OUTSIDE, program, '-Wl,--no-as-needed')
    number = [int(part) for part in version.split('.')]
    expect('the program says', way.run(program).split(), [
        '4', 'ioq', str(number[0] * 10000 + number[1] * 100 + number[2])])
    needed = re.findall(r'NEEDED.*\[(.*)\]', run(['readelf', '-d', program]))
    if 'libioq.so.1' not in needed:
        problems.append(f'libioq.so.1 is not among {needed}')
    if any(name.startswith('libaio') for name in needed):
        problems.append(f'libaio is among {needed}')


def check_readme(way, source, folder):
    readme = os.path.join(source, 'README.md')
    blocks = re.findall(r'^```c\n(.*?)^```$', open(readme).read(), re.M | re.S)
    expect('C programs in README.md', len(blocks), 2)
    size = min(4096, os.path.getsize(readme))
    program = os.path.join(folder, 'readme')
    for block in blocks:
        lines = len(block.splitlines())
        if lines > 35:
            problems.append(f'README.md: its program has {lines} lines')
        way.compile(block, program, '-Wall', '-Wextra', '-Werror')
        if not re.search(rf'\b{size}\b', way.run(program, readme)):
            problems.append('README.md: its program does not say what it read')


MANUAL_MAIN = r'''
#include <fcntl.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    char block[4096];
    int fd = open(argv[argc - 1], O_RDONLY);

    printf("%zd\n", read_block(fd, block, sizeof(block)));
    printf("%zd\n", read_block(-1, block, sizeof(block)));
    return 0;
}
'''


def check_manual(way, source, folder):
    """The example of ioq(7), with a program around it."""
    page = open(os.path.join(source, 'doc/man/ioq.7')).read()
    blocks = re.findall(r'^\.Bd -literal.*?\n(.*?)^\.Ed$', page, re.M | re.S)
    expect('examples in ioq.7', len(blocks), 1)
    program = os.path.join(folder, 'manual')
    text = blocks[0].replace('\\e', '\\')
    way.compile(text + MANUAL_MAIN, program, '-Wall', '-Werror')
    readme = os.path.join(source, 'README.md')
    size = min(4096, os.path.getsize(readme))
    expect('the example of ioq.7 says', way.run(program, readme).split(),
           [str(size), str(-errno.EBADF)])


def main():
    meson, source = sys.argv[1], sys.argv[2]
    need('cc', 'pkg-config', 'readelf')
    version = re.search(r"version: '([\d.]+)'", open(
        os.path.join(source, 'meson.build')).read()).group(1)
    beside = re.compile(r'build|\.git$')
    before = files_below(source, beside)
    with tempfile.TemporaryDirectory() as top:
        for number, names in enumerate(WAYS):
            for staged in (True, False):
                root = os.path.join(top, f'{number}{"s" if staged else ""}')
                way = Installation(meson, source, root, names, staged)
                check_files(way, source, version)
                check_variables(way, version)
                if not staged:
                    check_outside_program(way, top, version)
        check_readme(way, source, top)
        check_manual(way, source, top)
    expect('files that a build left in the source',
           sorted(files_below(source, beside) - before), [])
    finish(problems)


main()
