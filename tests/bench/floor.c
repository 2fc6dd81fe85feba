// The least that any extension does: register, ask for the next event, stay. Static, no TLS, no runtime.
// What a start costs above this is ours; what it costs up to here is the kernel's and the platform's.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const REGISTER =
    "POST /2020-01-01/extension/register HTTP/1.1\r\nHost: lambda\r\nLambda-Extension-Name: floor\r\n"
    "Content-Type: application/json\r\nContent-Length: 32\r\n\r\n{\"events\":[\"INVOKE\",\"SHUTDOWN\"]}";

// One read is one answer here: the platform stub writes each answer at once.
static void answer(int platform, char *into, size_t size) {
    ssize_t length = read(platform, into, size - 1);
    if (length <= 0) exit(1);
    into[length] = 0;
}

static int connect_to(const char *api) {
    char host[64];
    int port;
    if (sscanf(api, "%63[^:]:%d", host, &port) != 2) exit(2);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    int platform = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(platform, (struct sockaddr *)&address, sizeof address) != 0) exit(3);
    return platform;
}

int main(void) {
    const char *api = getenv("AWS_LAMBDA_RUNTIME_API");
    if (api == NULL) return 2;
    int platform = connect_to(api);
    char text[4096];
    dprintf(platform, "%s", REGISTER);
    answer(platform, text, sizeof text);

    const char *name = "lambda-extension-identifier: ";
    char *identifier = strcasestr(text, name);
    if (identifier == NULL) return 4;
    identifier += strlen(name);
    identifier[strcspn(identifier, "\r\n")] = 0;
    dprintf(platform, "GET /2020-01-01/extension/event/next HTTP/1.1\r\nHost: lambda\r\n"
                      "Lambda-Extension-Identifier: %s\r\n\r\n", identifier);
    char event[4096];
    answer(platform, event, sizeof event);
    return 0;
}
