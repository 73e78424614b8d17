/* Starts a program and strikes it a while after its first worker began, for tests/windows.sh.
 *
 *   strike ctrl-c    MILLISECONDS PROGRAM ARGUMENTS...   sends it Ctrl-C as a console does; exits with its code
 *   strike terminate MILLISECONDS PROGRAM ARGUMENTS...   ends it as the task manager does; exits with 0 if no process with the
 *                                                        program's name is left ten seconds later, else with 1
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>
#include <tlhelp32.h>

static int others(const char *path) {
    const char *name = path;
    for (const char *at = path; *at; at++)
        if (*at == '\\' || *at == '/') name = at + 1;
    PROCESSENTRY32 entry = {.dwSize = sizeof entry};
    HANDLE all = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
    int found = 0;
    for (BOOL more = Process32First(all, &entry); more; more = Process32Next(all, &entry))
        found += _stricmp(entry.szExeFile, name) == 0;
    CloseHandle(all);
    return found;
}

int main(int count, char **words) {
    if (count < 4) return fprintf(stderr, "strike: too few arguments\n"), 2;
    char line[4096] = "";
    for (int index = 3; index < count; index++) {
        if (strlen(line) + strlen(words[index]) + 4 > sizeof line) return fprintf(stderr, "strike: arguments are too long\n"), 2;
        strcat(strcat(strcat(line, index > 3 ? " \"" : "\""), words[index]), "\"");
    }
    int is_terminated = strcmp(words[1], "terminate") == 0;
    STARTUPINFOA startup = {.cb = sizeof startup};
    PROCESS_INFORMATION process;
    /* A console of our own: the event reaches every process that shares it, and us. */
    FreeConsole();
    AllocConsole();
    /* The child must not inherit that Ctrl-C is ignored, so ignore it only after it was started. */
    if (!CreateProcessA(NULL, line, NULL, NULL, FALSE, 0, NULL, NULL, &startup, &process))
        return fprintf(stderr, "strike: can't start %s: error %lu\n", line, GetLastError()), 2;
    for (int hundredths = 0; hundredths < 6000 && others(words[3]) < 2; hundredths++) Sleep(10);
    Sleep(atoi(words[2]));
    if (is_terminated) {
        if (others(words[3]) < 2) return fprintf(stderr, "strike: no worker is at work\n"), 3;
        TerminateProcess(process.hProcess, 1);
        for (int tenths = 0; tenths < 100 && others(words[3]) > 0; tenths++) Sleep(100);
        int left = others(words[3]);
        if (left) fprintf(stderr, "strike: %d processes live on\n", left);
        return left > 0;
    }
    SetConsoleCtrlHandler(NULL, TRUE);
    if (!GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0)) return fprintf(stderr, "strike: no Ctrl-C: error %lu\n", GetLastError()), 2;
    if (WaitForSingleObject(process.hProcess, 60000) != WAIT_OBJECT_0) return fprintf(stderr, "strike: it lives on\n"), 3;
    DWORD code;
    GetExitCodeProcess(process.hProcess, &code);
    return (int)code;
}
