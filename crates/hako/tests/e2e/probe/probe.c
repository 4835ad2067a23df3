// What a process in a default container sees and may do, one fact a line. Built static; needs nothing in the image.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

// Every call with arguments that cannot be right: EPERM and ENOSYS are the filter's answers, anything else the kernel's.
static void calls(void) {
  static const int ends[] = {SYS_exit, SYS_exit_group, SYS_fork, SYS_vfork, SYS_clone, SYS_rt_sigreturn, SYS_pause, SYS_restart_syscall};
  for (long number = 0; number < 470; number++) {
    int skip = number > 334 && number < 424;
    for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++) skip |= ends[i] == number;
    if (skip) continue;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
      alarm(1);
      errno = 0;
      long result = syscall(number, -1L, -1L, -1L, -1L, -1L, -1L);
      _exit(result == -1 ? errno : 0);
    }
    int status;
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status)) printf("call %ld killed\n", number);
    else printf("call %ld %s\n", number, WEXITSTATUS(status) == EPERM || WEXITSTATUS(status) == ENOSYS ? "refused" : "allowed");
  }
}

static void lines(const char *what, const char *path, const char *words) {
  char line[4096];
  FILE *file = fopen(path, "r");
  if (!file) { printf("%s %s cannot be read\n", what, path); return; }
  while (fgets(line, sizeof line, file)) {
    char list[512], *word;
    strcpy(list, words);
    for (word = strtok(list, " "); word; word = strtok(0, " "))
      if (!strncmp(line, word, strlen(word))) printf("%s %s", what, line);
  }
  fclose(file);
}

static void mounts(void) {
  char line[4096], root[512], point[512], options[512], kind[64];
  FILE *file = fopen("/proc/self/mountinfo", "r");
  while (file && fgets(line, sizeof line, file)) {
    char *tail = strstr(line, " - ");
    if (!tail || sscanf(line, "%*s %*s %*s %511s %511s %511s", root, point, options) != 3 || sscanf(tail, " - %63s", kind) != 1) continue;
    printf("mount %s %s %s\n", point, kind, options);
  }
}

static void entries(const char *what, const char *path) {
  DIR *directory = opendir(path);
  for (struct dirent *entry; directory && (entry = readdir(directory));) {
    char name[512], target[256] = "";
    struct stat stat;
    snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
    if (entry->d_name[0] == '.' || lstat(name, &stat)) continue;
    if (S_ISLNK(stat.st_mode) && readlink(name, target, 255) < 0) target[0] = 0;
    printf("%s %s %o %u:%u %s\n", what, entry->d_name, stat.st_mode, major(stat.st_rdev), minor(stat.st_rdev), target);
  }
}

static void paths(void) {
  static const char *all[] = {"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware", "/proc/sysrq-trigger", "/proc/sys/kernel/hostname", "/proc/irq/default_smp_affinity", "/sys/kernel/uevent_helper", "/sys/fs/cgroup/memory/release_agent", "/sys/fs/cgroup/cgroup.procs"};
  for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
    char byte;
    int fd = open(all[i], O_RDONLY | O_NONBLOCK), some = fd >= 0 && read(fd, &byte, 1) == 1;
    struct stat stat;
    if (lstat(all[i], &stat)) { printf("path %s missing\n", all[i]); continue; }
    int writes = open(all[i], O_WRONLY | O_NONBLOCK);
    int directory = S_ISDIR(stat.st_mode), full = 0;
    DIR *list = directory ? opendir(all[i]) : 0;
    for (struct dirent *entry; list && (entry = readdir(list));) full |= entry->d_name[0] != '.';
    printf("path %s %s %s\n", all[i], some || full ? "readable" : "empty", writes >= 0 && major(stat.st_rdev) != 1 ? "writable" : "protected");
  }
}

int main(void) {
  lines("status", "/proc/self/status", "Cap NoNewPrivs Seccomp: Groups Uid Gid Umask");
  lines("limit", "/proc/self/limits", "Max");
  entries("fd", "/proc/self/fd");
  entries("dev", "/dev");
  mounts();
  paths();
  printf("dumpable %d\n", prctl(PR_GET_DUMPABLE));
  printf("keyring %s\n", syscall(SYS_keyctl, 0, -3, 0) < 0 ? "refused" : "allowed");
  lines("sysctl", "/proc/sys/net/ipv4/ping_group_range", "0 1");
  lines("sysctl", "/proc/sys/net/ipv4/ip_unprivileged_port_start", "0 1");
  lines("oom", "/proc/self/oom_score_adj", "0 1 2 3 4 5 6 7 8 9 -");
  lines("map", "/proc/self/uid_map", " 0");
  calls();
  return 0;
}
