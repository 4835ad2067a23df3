/* Asks the SSH agent behind a socket which keys it has, and prints the answer in hexadecimal. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    unsigned char question[] = {0, 0, 0, 1, 11}, answer[64];
    size_t got = 0;
    if (argc != 2) return 2;
    strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
    int agent = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(agent, (struct sockaddr *)&address, sizeof address) || write(agent, question, 5) != 5) return 1;
    while (got < 4 || got < 4u + answer[3]) {
        ssize_t count = read(agent, answer + got, sizeof answer - got);
        if (count <= 0) return 1;
        got += count;
    }
    for (size_t i = 0; i < got; i++) printf("%02x", answer[i]);
    puts("");
    return 0;
}
