// cc: -O1 -g
// Passes socket addresses of several families.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

__attribute__((noinline)) void take(const struct sockaddr *address) { __asm__ volatile("" : : "r"(address) : "memory"); }

int main(void) {
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(8080)};
    inet_pton(AF_INET, "10.1.2.3", &four.sin_addr);
    take((struct sockaddr *)&four);
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(53)};
    inet_pton(AF_INET6, "2001:db8::1", &six.sin6_addr);
    take((struct sockaddr *)&six);
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    strcpy(path.sun_path, "/tmp/a.sock");
    take((struct sockaddr *)&path);
    struct sockaddr other = {.sa_family = AF_NETLINK};
    take(&other);
    return 0;
}
