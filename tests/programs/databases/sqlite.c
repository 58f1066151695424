/* Uses of SQLite that drivers do not make: `sqlite WAY FILE`. Prints what the library answered. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <uchar.h>
#include <unistd.h>

static sqlite3 *db;
static const char *file;

static sqlite3_stmt *prepare(const char *sql) {
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (result) printf("prepare %d\n", result);
    return statement;
}

static int rows(sqlite3_stmt *statement) {
    int count = 0;
    while (sqlite3_step(statement) == SQLITE_ROW) count++;
    return count;
}

static int print(void *argument, int count, char **values, char **names) {
    (void)names;
    printf("%s %d %s\n", (char *)argument, count, values[0]);
    return 0;
}

static int asks(void *argument, int count, char **values, char **names) {
    (void)count, (void)names;
    char *sql = sqlite3_mprintf("UPDATE t SET v = 'canary' WHERE id = %s", values[0]);
    int result = sqlite3_exec(argument, sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    return result;
}

static int refuses(void *argument, int count, char **values, char **names) {
    (void)argument, (void)count, (void)values, (void)names;
    return 1;
}

static void exec(void) {
    printf("%d\n", sqlite3_exec(db, "SELECT v FROM t WHERE v <> 'canary9'; DELETE FROM t WHERE id = 3", print, "row", NULL));
    printf("%d\n", sqlite3_exec(db, "SELECT id FROM t", asks, db, NULL));
    printf("%d\n", sqlite3_exec(db, "SELECT id FROM t", refuses, NULL, NULL));
    char *message = NULL;
    printf("%d\n", sqlite3_exec(db, "INSERT INTO t VALUES (1, 'canary')", NULL, NULL, &message));
    printf("%s\n", message);
    sqlite3_free(message);
    char **table;
    int height, width;
    sqlite3_get_table(db, "SELECT id, v FROM t", &table, &height, &width, NULL);
    printf("%d %d\n", height, width);
    sqlite3_free_table(table);
}

/* The older functions, texts of a length, and texts in UTF-16. */
static void texts(void) {
    sqlite3_stmt *statement = NULL;
    const char *tail;
    sqlite3_prepare(db, "SELECT v FROM t; SELECT 'canary'", -1, &statement, &tail);
    printf("%d%s\n", rows(statement), tail);
    printf("%d\n", sqlite3_finalize(statement));
    sqlite3_prepare_v3(db, "SELECT id FROM t WHERE v = 'canary2'rubbish", 36, 0, &statement, NULL);
    printf("%d\n", rows(statement));
    sqlite3_finalize(statement);
    static const char16_t wide[] = u"SELECT id AS \u00e9 FROM t WHERE v <> 'c\u00e4nary'";
    sqlite3_prepare16_v2(db, wide, -1, &statement, NULL);
    printf("%d\n", rows(statement));
    sqlite3_finalize(statement);
    static const char16_t wrong[] = u"SELECT \U0001f600 'canary' FROM nothing rubbish";
    printf("%d\n", sqlite3_prepare16_v2(db, wrong, 2 * 32, &statement, NULL));
    printf("%d\n", sqlite3_prepare_v2(db, "SELECT id FROM nowhere rubbish", 22, &statement, NULL));
    printf("%d %p\n", sqlite3_prepare_v2(db, "-- canary", -1, &statement, NULL), (void *)statement);
    printf("%d %d\n", sqlite3_finalize(NULL), sqlite3_reset(NULL));
}

/* A statement that is busy may be tried again, or given up. */
static void busy(void) {
    sqlite3 *other;
    sqlite3_open(file, &other);
    sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    sqlite3_stmt *statement = prepare("BEGIN IMMEDIATE");
    for (int turn = 0; turn < 3; turn++) printf("%d\n", sqlite3_step(statement));
    sqlite3_exec(other, "COMMIT", NULL, NULL, NULL);
    printf("%d\n", sqlite3_step(statement));
    sqlite3_finalize(statement);
    sqlite3_exec(other, "PRAGMA user_version", NULL, NULL, NULL);
    statement = prepare("COMMIT");
    printf("%d\n", sqlite3_step(statement));
    sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    sqlite3_stmt *again = prepare("INSERT INTO t VALUES (9, 'canary')");
    printf("%d\n", sqlite3_step(again));
    printf("%d\n", sqlite3_reset(again));
    sqlite3_finalize(again);
    sqlite3_finalize(statement);
    sqlite3_close(other);
}

/* What is under way belongs to the parent, and what the child begins to the child. */
static void forks(void) {
    sqlite3_stmt *statement = prepare("SELECT v FROM t");
    printf("%d\n", sqlite3_step(statement));
    fflush(stdout);
    if (fork() == 0) {
        printf("child %d\n", rows(statement));
        sqlite3_finalize(statement);
        statement = prepare("SELECT id FROM t");
        printf("child %d\n", rows(statement));
        sqlite3_finalize(statement);
        exit(0);
    }
    wait(NULL);
    printf("parent %d\n", rows(statement));
    sqlite3_finalize(statement);
}

/* Statements are left over when the connection is closed, and finalized after it. */
static void closes(void) {
    sqlite3_stmt *statement = prepare("SELECT v FROM t"), *never = prepare("SELECT id, v FROM t");
    sqlite3_step(statement);
    sqlite3_step(never);
    printf("%d\n", sqlite3_close(db));
    printf("%d\n", sqlite3_close_v2(db));
    printf("%d\n", sqlite3_step(statement));
    sqlite3_finalize(statement);
}

static jmp_buf out;

static void jumps(sqlite3_context *context, int count, sqlite3_value **values) {
    (void)context, (void)count, (void)values;
    longjmp(out, 1);
}

static __attribute__((noinline)) void deep(int levels, const char *sql) {
    volatile char room[256];
    memset((char *)room, levels, sizeof room);
    if (levels) return deep(levels - 1, sql);
    sqlite3_stmt *statement = prepare(sql);
    printf("%d\n", rows(statement));
    sqlite3_finalize(statement);
}

/* Out of a call of the library, past all of its frames (as PHP does); then the connection is closed as far as that goes. */
static void leaps(void) {
    sqlite3_create_function(db, "jumps", 0, SQLITE_UTF8, NULL, jumps, NULL, NULL);
    sqlite3_stmt *statement = prepare("SELECT jumps() FROM t");
    if (setjmp(out) == 0) sqlite3_step(statement);
    puts("out");
    sqlite3_close_v2(db);
    sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    deep(20, "SELECT id FROM t");
}

static void *selects(void *argument) {
    sqlite3 *own;
    sqlite3_stmt *statement;
    sqlite3_open(file, &own);
    for (int turn = 0; turn < 50; turn++) {
        sqlite3_prepare_v2(own, argument, -1, &statement, NULL);
        if (rows(statement) != 3) abort();
        sqlite3_finalize(statement);
    }
    sqlite3_close(own);
    return NULL;
}

static void threads(void) {
    pthread_t all[8];
    for (int n = 0; n < 8; n++) pthread_create(&all[n], NULL, selects, "SELECT v FROM t");
    for (int n = 0; n < 8; n++) pthread_join(all[n], NULL);
}

/* Two copies of the library, one of which goes away with a statement under way, and comes again. */
static void copies(void) {
    for (int turn = 0; turn < 2; turn++) {
        void *copy = dlopen(getenv("COPY"), RTLD_NOW | RTLD_LOCAL);
        int (*open)(const char *, sqlite3 **) = dlsym(copy, "sqlite3_open");
        int (*prepare_v2)(sqlite3 *, const char *, int, sqlite3_stmt **, const char **) = dlsym(copy, "sqlite3_prepare_v2");
        int (*step)(sqlite3_stmt *) = dlsym(copy, "sqlite3_step");
        if ((void *)open == (void *)sqlite3_open) abort();
        sqlite3 *own;
        sqlite3_stmt *statement;
        open(file, &own);
        prepare_v2(own, "SELECT id FROM t", -1, &statement, NULL);
        printf("%d\n", step(statement));
        statement = prepare("SELECT v FROM t");
        printf("%d\n", rows(statement));
        sqlite3_finalize(statement);
        printf("%d\n", dlclose(copy));
    }
}

static void simple(void) {
    sqlite3_stmt *statement = prepare("SELECT v FROM t WHERE v = 'canary1'");
    printf("%d\n", rows(statement));
    sqlite3_finalize(statement);
}

int main(int argc, char **argv) {
    static const struct { const char *name; void (*run)(void); } ways[] = {
        {"exec", exec}, {"texts", texts}, {"busy", busy}, {"forks", forks}, {"closes", closes}, {"leaps", leaps},
        {"threads", threads}, {"copies", copies}, {"simple", simple},
    };
    file = argv[argc - 1];
    if (sqlite3_open(file, &db)) return 2;
    for (size_t n = 0; n < sizeof ways / sizeof *ways; n++)
        if (!strcmp(argv[1], ways[n].name)) ways[n].run();
    return 0;
}
