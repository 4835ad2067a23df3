// steps OUT PROGRAM ARG...: single-steps a program and the children it forks; writes the address of each 16-byte block of code
// when it is first executed, in that order. Programs that children execute are let go.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned char seen[1 << 24];  // 256 MiB of code

static void note(pid_t pid, FILE *out) {
  struct user_regs_struct registers;
  if (ptrace(PTRACE_GETREGS, pid, 0, &registers)) return;
  unsigned long block = registers.rip >> 4;
  if (block >= sizeof seen || seen[block]) return;
  seen[block] = 1;
  fprintf(out, "%lx\n", (unsigned long)registers.rip);
}

int main(int argc, char **argv) {
  FILE *out = argc > 2 ? fopen(argv[1], "w") : 0;
  if (!out) { fprintf(stderr, "usage: steps OUT PROGRAM ARG...\n"); return 2; }
  pid_t first = fork();
  if (first == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    execv(argv[2], argv + 2);
    _exit(127);
  }
  int status, code = 1, executed = 0;
  waitpid(first, &status, 0);
  ptrace(PTRACE_SETOPTIONS, first, 0, PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC);
  ptrace(PTRACE_SINGLESTEP, first, 0, 0);
  for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0;) {
    if (WIFEXITED(status) && pid == first) code = WEXITSTATUS(status);
    if (WIFEXITED(status) || WIFSIGNALED(status)) continue;
    int signal = WSTOPSIG(status), event = status >> 16;
    if (event == PTRACE_EVENT_EXEC && (pid != first || executed++)) {
      ptrace(PTRACE_DETACH, pid, 0, 0);
      continue;
    }
    if (signal == SIGTRAP && !event) note(pid, out);
    ptrace(PTRACE_SINGLESTEP, pid, 0, signal == SIGTRAP || signal == SIGSTOP ? 0 : signal);
  }
  return code;
}
