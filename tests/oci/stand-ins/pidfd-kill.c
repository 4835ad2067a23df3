// Receives a pidfd at a socket; when told SIGTERM, sends the process a signal, as runc's tests/cmd/pidfd-kill does.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static void die(const char *what) { perror(what); exit(1); }

int main(int argc, char **argv) {
  const char *pid_file = 0, *path = 0;
  int number = SIGKILL;
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--signal")) {
      const char *name = argv[++i];
      for (number = 1; number < 32 && strcmp(sigabbrev_np(number), name + 3 * !strncmp(name, "SIG", 3)); number++);
    } else if (!strcmp(argv[i], "--pid-file")) pid_file = argv[++i];
    else path = argv[i];
  }
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGTERM);
  sigprocmask(SIG_BLOCK, &wanted, 0);
  FILE *file = pid_file ? fopen(pid_file, "w") : 0;
  if (file) { fprintf(file, "%d\n", getpid()); fclose(file); }
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1)) die(path);
  int connection = accept(listener, 0, 0);
  char bytes[4096], control[CMSG_SPACE(sizeof(int))];
  struct iovec part = {bytes, sizeof bytes};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  if (recvmsg(connection, &message, 0) < 0 || !CMSG_FIRSTHDR(&message)) die("recvmsg");
  int fd, told;
  memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
  sigwait(&wanted, &told);
  if (syscall(SYS_pidfd_send_signal, fd, number, 0, 0)) die("pidfd_send_signal");
  if (pid_file) unlink(pid_file);
  return 0;
}
