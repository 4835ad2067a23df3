// The first process of a hostile container: looks at every process that enters it, tries everything that may be done to
// another process, and tells what worked on one that does not run the container's own program.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell(const char *what, int pid, const char *more) { printf("%s of %d: %s\n", what, pid, more), fflush(stdout); }

// Whether a process runs one of the container's own programs, by now; or is gone.
static int is_own(int pid) {
  char path[64], seen[512];
  snprintf(path, sizeof path, "/proc/%d/exe", pid);
  ssize_t n = readlink(path, seen, sizeof seen - 1);
  if (n < 0) return errno == ENOENT || errno == ESRCH;
  seen[n] = 0;
  return !strncmp(seen, "/bin/", 5) || !strncmp(seen, "/attack", 7);
}

// Between two looks a process may become the container's own program: what worked counts if it still is another.
static void attack(int pid) {
  char path[256], to[512];
  ssize_t n;
  if (is_own(pid)) return;
  snprintf(path, sizeof path, "/proc/%d/exe", pid);
  int fd = open(path, O_RDWR | O_APPEND);
  if (fd >= 0 && !is_own(pid)) tell("opened for writing the program", pid, "");
  if (fd >= 0) close(fd);
  fd = open(path, O_RDONLY);
  if (fd >= 0 && !is_own(pid)) tell("opened the program", pid, "");
  if (fd >= 0) close(fd);
  snprintf(path, sizeof path, "/proc/%d/mem", pid);
  fd = open(path, O_RDWR);
  if (fd >= 0 && !is_own(pid)) tell("opened the memory", pid, "");
  if (fd >= 0) close(fd);
  snprintf(path, sizeof path, "/proc/%d/root/.", pid);
  struct stat here, there;
  if (stat("/", &here) == 0 && stat(path, &there) == 0 && (here.st_ino != there.st_ino || here.st_dev != there.st_dev) && !is_own(pid))
    tell("reached another root", pid, "");
  snprintf(path, sizeof path, "/proc/%d/cwd/.", pid);
  if (stat(path, &there) == 0 && there.st_dev != here.st_dev && !is_own(pid)) tell("reached a directory outside", pid, "");
  snprintf(path, sizeof path, "/proc/%d/fd", pid);
  DIR *fds = opendir(path);
  for (struct dirent *e; fds && (e = readdir(fds));) {
    char link[600];
    snprintf(link, sizeof link, "%s/%s", path, e->d_name);
    n = readlink(link, to, sizeof to - 1);
    if (n <= 0) continue;
    to[n] = 0;
    int inner = !strncmp(to, "/dev/", 5) || !strncmp(to, "/proc", 5);
    if (to[0] == '/' && !inner && !is_own(pid)) tell("saw a descriptor", pid, to);
  }
  if (fds) closedir(fds);
  if (ptrace(PTRACE_SEIZE, pid, 0, 0) == 0) {
    // It may have become the container's own program since the first look; what is traced can be looked at in peace.
    int status;
    ptrace(PTRACE_INTERRUPT, pid, 0, 0);
    waitpid(pid, &status, __WALL);
    if (WIFSTOPPED(status) && !is_own(pid)) tell("traced", pid, "");
    ptrace(PTRACE_DETACH, pid, 0, 0);
  }
}

int main(void) {
  int self = getpid();
  puts("ready"), fflush(stdout);
  while (access("/stop", F_OK)) {
    DIR *proc = opendir("/proc");
    for (struct dirent *e; proc && (e = readdir(proc));) {
      int pid = atoi(e->d_name);
      if (pid > 0 && pid != self) attack(pid);
    }
    if (proc) closedir(proc);
    while (waitpid(-1, 0, WNOHANG | __WALL) > 0) {}
  }
  puts("done");
  return 0;
}
