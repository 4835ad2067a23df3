// The floor: the least kernel work that starts /bin/true in a container of its own and waits for it.
//   floor none DIR      namespaces, overlay, proc, pivot_root, execve
//   floor bridge DIR    the same, and a veth pair on the bridge `floor0`, an address and a route
//   floor exec          posix_spawn and wait of a static program: what starting any client costs
// DIR holds lower/ (with bin/true), upper/ work/ merged/.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>

static void die(const char *what) { perror(what); _exit(1); }

struct request { struct nlmsghdr head; struct ifinfomsg link; char rest[512]; };

static struct rtattr *put(struct nlmsghdr *head, int type, const void *data, int length) {
  struct rtattr *attribute = (void *)((char *)head + NLMSG_ALIGN(head->nlmsg_len));
  attribute->rta_type = type;
  attribute->rta_len = RTA_LENGTH(length);
  if (length) memcpy(RTA_DATA(attribute), data, length);
  head->nlmsg_len = NLMSG_ALIGN(head->nlmsg_len) + RTA_ALIGN(attribute->rta_len);
  return attribute;
}

static void close_nest(struct nlmsghdr *head, struct rtattr *nest) { nest->rta_len = (char *)head + head->nlmsg_len - (char *)nest; }

static void ask(int socket, struct nlmsghdr *head) {
  static char answer[4096];
  head->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
  if (send(socket, head, head->nlmsg_len, 0) < 0) die("netlink send");
  if (recv(socket, answer, sizeof answer, 0) < 0) die("netlink recv");
  struct nlmsghdr *reply = (void *)answer;
  if (reply->nlmsg_type == NLMSG_ERROR) {
    errno = -((struct nlmsgerr *)NLMSG_DATA(reply))->error;
    if (errno) die("netlink");
  }
}

static void veth(int socket, const char *name, int netns, int bridge) {
  struct request r = {.head = {NLMSG_LENGTH(sizeof r.link), RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL}};
  r.link.ifi_flags = r.link.ifi_change = IFF_UP;
  put(&r.head, IFLA_IFNAME, name, strlen(name) + 1);
  put(&r.head, IFLA_MASTER, &bridge, 4);
  struct rtattr *info = put(&r.head, IFLA_LINKINFO, 0, 0);
  put(&r.head, IFLA_INFO_KIND, "veth", 5);
  struct rtattr *data = put(&r.head, IFLA_INFO_DATA, 0, 0);
  struct ifinfomsg peer_link = {0};
  struct rtattr *peer = put(&r.head, VETH_INFO_PEER, &peer_link, sizeof peer_link);
  put(&r.head, IFLA_IFNAME, "eth0", 5);
  put(&r.head, IFLA_NET_NS_FD, &netns, 4);
  close_nest(&r.head, peer);
  close_nest(&r.head, data);
  close_nest(&r.head, info);
  ask(socket, &r.head);
}

static void address_and_route(int socket) {
  struct request up = {.head = {NLMSG_LENGTH(sizeof up.link), RTM_NEWLINK, 0}, .link = {.ifi_index = if_nametoindex("eth0"), .ifi_flags = IFF_UP, .ifi_change = IFF_UP}};
  ask(socket, &up.head);
  struct { struct nlmsghdr head; struct ifaddrmsg address; char rest[128]; } a =
    {.head = {NLMSG_LENGTH(sizeof a.address), RTM_NEWADDR, NLM_F_CREATE}, .address = {AF_INET, 16, 0, 0, if_nametoindex("eth0")}};
  struct in_addr own, gateway;
  inet_pton(AF_INET, "10.251.0.2", &own);
  inet_pton(AF_INET, "10.251.0.1", &gateway);
  put(&a.head, IFA_LOCAL, &own, 4);
  ask(socket, &a.head);
  struct { struct nlmsghdr head; struct rtmsg route; char rest[128]; } r =
    {.head = {NLMSG_LENGTH(sizeof r.route), RTM_NEWROUTE, NLM_F_CREATE},
     .route = {.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT, .rtm_type = RTN_UNICAST}};
  put(&r.head, RTA_GATEWAY, &gateway, 4);
  ask(socket, &r.head);
}

static int child(const char *dir, int bridge, int ready) {
  char options[4096], path[4096], byte;
  snprintf(options, sizeof options, "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", dir, dir, dir);
  snprintf(path, sizeof path, "%s/merged", dir);
  if (mount(0, "/", 0, MS_REC | MS_PRIVATE, 0)) die("private");
  if (mount("overlay", path, "overlay", 0, options)) die("overlay");
  if (chdir(path)) die("chdir");
  if (mount("proc", "proc", "proc", 0, 0)) die("proc");
  if (syscall(SYS_pivot_root, ".", ".")) die("pivot_root");
  if (umount2(".", MNT_DETACH)) die("umount");
  if (bridge) {
    if (read(ready, &byte, 1) != 1) die("ready");
    address_and_route(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  }
  execl("/bin/true", "true", (char *)0);
  die("execve");
  return 1;
}

// usage PROGRAM ARG...: runs a program and tells microseconds of wall and processor time, and its peak memory in KiB, of
// the program and all it waited for.
static int usage(char **argv) {
  struct timespec from, to;
  struct rusage used;
  int status;
  clock_gettime(CLOCK_MONOTONIC, &from);
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) {
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++) dup2(null, fd);
    if (null > 2) close(null);
    execvp(argv[0], argv);
    _exit(127);
  }
  if (wait4(pid, &status, 0, &used) < 0) die("wait4");
  clock_gettime(CLOCK_MONOTONIC, &to);
  printf("%ld %ld %ld\n", (to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000,
         (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 + used.ru_utime.tv_usec + used.ru_stime.tv_usec, used.ru_maxrss);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  if (!strcmp(argv[1], "exec")) return 0;
  if (!strcmp(argv[1], "usage") && argc > 2) return usage(argv + 2);
  int bridge = !strcmp(argv[1], "bridge"), status, ready[2];
  if (argc < 3 || pipe2(ready, O_CLOEXEC)) return 2;
  unsigned long flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP | SIGCHLD;
  pid_t pid = syscall(SYS_clone, flags, 0, 0, 0, 0);
  if (pid < 0) die("clone");
  if (pid == 0) return child(argv[2], bridge, ready[0]);
  if (bridge) {
    char path[64], name[16];
    snprintf(path, sizeof path, "/proc/%d/ns/net", pid);
    snprintf(name, sizeof name, "fl%d", pid);
    veth(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), name, open(path, O_RDONLY | O_CLOEXEC), if_nametoindex("floor0"));
    if (write(ready[1], "x", 1) != 1) die("write");
  }
  waitpid(pid, &status, 0);
  return WEXITSTATUS(status);
}
