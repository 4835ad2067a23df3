// A library that every loader of libraries in a hostile image is given: it leaves a trace of having been loaded.
#include <fcntl.h>
#include <unistd.h>

__attribute__((constructor)) static void loaded(void) {
  int fd = open("/loaded", O_CREAT | O_WRONLY, 0600);
  if (fd >= 0) close(fd);
  fd = open(CANARY, O_CREAT | O_WRONLY, 0600);
  if (fd >= 0) close(fd);
}
