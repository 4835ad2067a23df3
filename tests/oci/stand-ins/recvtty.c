// Receives terminals at a socket, as runc's tests/cmd/recvtty does: --mode null swallows what they say, single shows it.
// In C because the tests do not wait for it to listen.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

static void die(const char *what) { perror(what); exit(1); }

static int receive(int connection) {
  char bytes[4096], control[CMSG_SPACE(sizeof(int))];
  struct iovec part = {bytes, sizeof bytes};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  if (recvmsg(connection, &message, 0) < 0) die("recvmsg");
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (!header) return -1;
  int fd;
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return fd;
}

static void copy(int from, int to) {
  char bytes[65536];
  for (ssize_t count; (count = read(from, bytes, sizeof bytes)) > 0;)
    if (to >= 0 && write(to, bytes, count) < 0) return;
}

static void *swallow(void *argument) {
  int connection = (int)(long)argument, fd = receive(connection);
  close(connection);
  copy(fd, -1);
  close(fd);
  return 0;
}

static void *type_in(void *argument) { copy(0, (int)(long)argument); return 0; }

int main(int argc, char **argv) {
  const char *mode = "single", *pid_file = 0, *path = 0;
  int no_stdin = 0;
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--mode")) mode = argv[++i];
    else if (!strcmp(argv[i], "--pid-file")) pid_file = argv[++i];
    else if (!strcmp(argv[i], "--no-stdin")) no_stdin = 1;
    else path = argv[i];
  }
  if (pid_file) {
    FILE *file = fopen(pid_file, "w");
    if (!file) die(pid_file);
    fprintf(file, "%d\n", getpid());
    fclose(file);
  }
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64)) die(path);
  pthread_t thread;
  while (!strcmp(mode, "null")) {
    int connection = accept(listener, 0, 0);
    if (connection < 0) die("accept");
    pthread_create(&thread, 0, swallow, (void *)(long)connection);
  }
  int fd = receive(accept(listener, 0, 0));
  struct termios attributes;
  tcgetattr(fd, &attributes);
  attributes.c_oflag &= ~ONLCR;
  tcsetattr(fd, TCSANOW, &attributes);
  if (!no_stdin) pthread_create(&thread, 0, type_in, (void *)(long)fd);
  copy(fd, 1);
  return 0;
}
