/* The program of the `hello` image: tells what just happened and what to try next.
 * No C library: two system calls, one of them per message, so that it is about two kilobytes. */

static const char text[] =
    "Hello from a container!\n"
    "\n"
    "What just happened:\n"
    " 1. The hako command asked the hako daemon for a container, and started the daemon if none was running.\n"
    " 2. The daemon took the image \"hello\" out of its own binary; other images come from a registry.\n"
    " 3. A supervisor gave this program a file system, a network and a process tree of its own, and ran it.\n"
    " 4. What you are reading went from the program to your terminal; the daemon was not in between.\n"
    "\n"
    "What to try next:\n"
    "   hako run -it --rm debian bash          a shell in another distribution\n"
    "   hako run -d -p 8888:80 nginx           a web server on http://localhost:8888\n"
    "   hako ps                                what is running\n"
    "   hako --help                            everything else\n";

static long call(long number, long first, long second, long third)
{
#if defined(__x86_64__)
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(first), "S"(second), "d"(third)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = first;
    register long x1 __asm__("x1") = second;
    register long x2 __asm__("x2") = third;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
#else
#error "hello knows x86_64 and aarch64"
#endif
}

#if defined(__x86_64__)
enum { WRITE = 1, EXIT = 60 };
#else
enum { WRITE = 64, EXIT = 93 };
#endif

void _start(void)
{
    long done = 0;
    const long length = sizeof text - 1;
    while (done < length) {
        long written = call(WRITE, 1, (long)text + done, length - done);
        if (written <= 0)
            break;
        done += written;
    }
    call(EXIT, done != length, 0, 0);
    for (;;)
        ;
}
