/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 *     contract ENGINE [--filtered DOCUMENT] [TEST...]
 *
 * Of tests, the beginnings of their names will do.
 *
 * Prints a line for each test: ok, FAIL, skip or n/a, and its name. Run with a
 * place (support/place.h).
 */
#include "contract.h"

#include <stdio.h>
#include <sys/mman.h>

#include "../support/sandbox.h"

#define TESTS_MAX 512

/* What Check and a failing test call. */
#define OWN_CALLS "exit_group timer_create timer_delete "

enum ioq_engine engine = IOQ_ENGINE_AUTO;

static struct test {
    TCase *tcase;
    const char *name, *calls;
} tests[TESTS_MAX];
static int test_count;

/* In memory that the tests' processes share with ours. */
static struct note {
    bool skipped, applies_not;
    char reason[120];
} * notes;

static const char *document; /* NULL without a filter */
static int current;

int contract_add(TCase *tcase, const char *name, const char *calls)
{
    if (test_count == TESTS_MAX)
        abort();
    tests[test_count] = (struct test){tcase, name, calls};
    return test_count++;
}

void contract_note(bool skipped, const char *reason)
{
    struct note *note = &notes[current];

    note->skipped = skipped;
    note->applies_not = !skipped;
    snprintf(note->reason, sizeof(note->reason), "%s", reason);
}

void contract_enter(int test)
{
    char calls[512];

    current = test;
    if (!document)
        return;
    snprintf(calls, sizeof(calls), OWN_CALLS "%s", tests[test].calls);
    ck_assert_int_eq(
        sandbox_allow_documented(document, ioq_engine_name(engine), calls), 0);
}

static bool is_wanted(const char *name, char **names, int count)
{
    int i;

    for (i = 0; i < count; i++)
        if (strncmp(name, names[i], strlen(names[i])) == 0)
            return true;
    return count == 0;
}

static SRunner *run(char **names, int count)
{
    Suite *suite = suite_create("contract");
    SRunner *runner;
    int i;

    for (i = 0; i < test_count; i++) {
        tcase_set_timeout(tests[i].tcase, 120);
        if (is_wanted(tests[i].name, names, count))
            suite_add_tcase(suite, tests[i].tcase);
    }
    runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_FORK);
    srunner_run_all(runner, CK_SILENT);
    return runner;
}

static struct note *note_of(const char *name)
{
    int i;

    for (i = 0; i < test_count; i++)
        if (strcmp(tests[i].name, name) == 0)
            return &notes[i];
    return NULL;
}

static int print(SRunner *runner)
{
    int ran = srunner_ntests_run(runner), ok = 0, skipped = 0, i;
    int failed = srunner_ntests_failed(runner);
    TestResult **results = srunner_results(runner);

    for (i = 0; i < ran; i++) {
        const char *name = tr_tcname(results[i]);
        const struct note *note = note_of(name);

        if (tr_rtype(results[i]) != CK_PASS)
            printf("FAIL %s: %s:%d: %s\n", name, tr_lfile(results[i]),
                   tr_lno(results[i]), tr_msg(results[i]));
        else if (note->skipped || note->applies_not)
            printf("%s %s: %s\n", note->skipped ? "skip" : "n/a ", name,
                   note->reason);
        else
            printf("ok   %s\n", name);
        ok += tr_rtype(results[i]) == CK_PASS && !note->skipped;
        skipped += note->skipped;
    }
    free(results);
    if (skipped > 0 && getenv("IOQ_TEST_NO_SKIP"))
        failed += skipped;
    if (failed == 0 && ok > 0)
        return 0;
    return failed == 0 && skipped > 0 ? 77 : 1;
}

int main(int argc, char **argv)
{
    int rc, first = 2;
    SRunner *runner;

    engine = engine_called(argc > 1 ? argv[1] : NULL);
    if (engine == IOQ_ENGINE_AUTO) {
        fprintf(stderr, "usage: contract ENGINE [--filtered DOCUMENT]\n");
        return 1;
    }
    if (argc > 3 && strcmp(argv[2], "--filtered") == 0) {
        document = argv[3];
        first = 4;
    }
    rc = ioq_engine_available(engine);
    if (rc == -ENOSYS || rc == -EPERM)
        return skip_all(ioq_last_error());
    notes = mmap(NULL, sizeof(*notes) * TESTS_MAX, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (notes == MAP_FAILED)
        return 1;
    runner = run(argv + first, argc - first);
    rc = print(runner);
    srunner_free(runner);
    return rc;
}
