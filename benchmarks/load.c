/* Load for chat-completion gateways: one thread, epoll, connections kept alive.
 *
 *   load -u http://127.0.0.1:8000/v1/chat/completions -c 32 -d 4 -m vendor/mock -H 'Authorization: Bearer …'
 *
 *   -c callers     each asks again as soon as it has its answer
 *   -d seconds     measured, after half a second that is not
 *   -m model       -s  streamed        -H  a header, may be repeated
 *   -o             each caller asks once, and all is counted
 *
 * Prints one line of JSON, with times in ms: "whole" from the request to its last byte, "first" to its
 * first text, "after" from the provider's writing of a text to its arrival here. The provider stamps
 * each text with "~" and the time (upstream.c). An answer without a text, or a stream without its end,
 * is "bad".
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WARM_UP_NS 500000000u
#define PATIENCE_NS 20000000000u       /* for answers still running at the end */
#define PATIENCE_ONCE_NS 120000000000u
#define DIALS_AT_A_TIME 50             /* spares the server's listen queue */
#define MAX_FAILED_DIALS 10000

enum chunk_state { SIZE, DATA, AFTER_DATA, TRAILER };

typedef struct {
    int fd, is_up, is_busy, is_finished;
    int sent;
    char head[16384];
    int head_length, in_body, status, closes, is_chunked;
    long left; /* bytes left of the body or of the chunk; -1: until the connection closes */
    enum chunk_state chunk_state;
    int line_position; /* in a line that may begin with "data: "; -1: not in such a one */
    int hex_digits;    /* of a stamp; -1: in none */
    int is_done, texts;
    uint64_t stamp, asked_at;
} Caller;

typedef struct { float *values; size_t count, capacity; } Series;

static Caller *callers;
static int caller_count = 1, poller, streams, once;
static char *host, *path, *request;
static int request_length;
static struct sockaddr_in address;
static uint64_t begins_at, stops_at;
static long ok, refused, bad, chunks;
static Series whole, first, after;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

static int counts(uint64_t at) { return once || (at >= begins_at && at < stops_at); }

static void add(Series *s, double ms) {
    if (s->count == s->capacity) {
        s->capacity = s->capacity ? s->capacity * 2 : 65536;
        s->values = realloc(s->values, sizeof(float) * s->capacity);
    }
    s->values[s->count++] = ms;
}

static void watch(int i, int operation, uint32_t events) {
    struct epoll_event event = {events, {.u32 = i}};
    epoll_ctl(poller, operation, callers[i].fd, &event);
}

static void dial(int i) {
    Caller *c = &callers[i];
    int yes = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(c->fd, (void *)&address, sizeof address) && errno != EINPROGRESS) {
        perror("connect");
        exit(1);
    }
    c->is_up = 0;
    watch(i, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

static void send_rest(int i) {
    Caller *c = &callers[i];
    int written = send(c->fd, request + c->sent, request_length - c->sent, MSG_NOSIGNAL);
    if (written > 0) c->sent += written;
    watch(i, EPOLL_CTL_MOD, c->sent < request_length ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void ask(int i) {
    Caller *c = &callers[i];
    if (c->is_busy || c->is_finished) return;
    c->asked_at = now_ns();
    if (c->asked_at >= stops_at) {
        c->is_finished = 1;
        return;
    }
    c->sent = c->head_length = c->in_body = c->status = c->closes = c->is_chunked = 0;
    c->left = c->line_position = c->is_done = c->texts = 0;
    c->chunk_state = SIZE;
    c->hex_digits = -1;
    c->is_busy = 1;
    send_rest(i);
}

static void finish(int i, int is_broken) {
    Caller *c = &callers[i];
    uint64_t at = now_ns();
    if (c->is_busy && counts(at)) {
        if (c->status != 200) refused++;
        else if (is_broken || !c->texts || (streams && !c->is_done)) bad++;
        else {
            ok++;
            add(&whole, (at - c->asked_at) / 1e6);
        }
    }
    c->is_busy = 0;
    c->is_finished = once;
    if (!is_broken && !c->closes) {
        ask(i);
        return;
    }
    close(c->fd);
    if (at < stops_at && !once) dial(i);
    else c->is_finished = 1;
}

static int hex_digit(int ch) {
    if (ch >= '0' && ch <= '9') return ch - '0';
    if ((ch | 32) >= 'a' && (ch | 32) <= 'f') return (ch | 32) - 'a' + 10;
    return -1;
}

static void read_stamp(Caller *c, int ch, uint64_t at) {
    if (c->hex_digits < 0) {
        if (ch == '~') c->hex_digits = c->stamp = 0;
        return;
    }
    int digit = hex_digit(ch);
    c->stamp = c->stamp << 4 | (digit & 15);
    c->hex_digits = digit < 0 ? -1 : c->hex_digits + 1;
    if (c->hex_digits < 16) return;
    c->hex_digits = -1;
    if (counts(at) && c->status == 200) {
        add(&after, ((double)at - (double)c->stamp) / 1e6);
        if (!c->texts) add(&first, (at - c->asked_at) / 1e6);
    }
    c->texts++;
}

static void read_line(Caller *c, int ch, int is_counted) {
    static const char tag[] = "data: ";
    if (ch == '\n') c->line_position = 0;
    else if (c->line_position < 0) return;
    else if (ch == tag[c->line_position]) c->line_position++;
    else {
        if (c->line_position >= 5) { /* the blank after "data:" may be missing */
            if (ch == '[') c->is_done = 1;
            else chunks += is_counted;
        }
        c->line_position = -1;
    }
}

static void read_body(Caller *c, const char *bytes, int length) {
    uint64_t at = now_ns();
    int is_counted = counts(at);
    for (int k = 0; k < length; k++) {
        read_stamp(c, (unsigned char)bytes[k], at);
        read_line(c, (unsigned char)bytes[k], is_counted);
    }
}

/* Take what belongs to the head from *at, and return 1 when it is whole. */
static int take_head(Caller *c, char **at, char *end) {
    int room = sizeof c->head - 1 - c->head_length, length = end - *at < room ? end - *at : room;
    int from = c->head_length > 3 ? c->head_length - 3 : 0;
    memcpy(c->head + c->head_length, *at, length);
    c->head_length += length;
    c->head[c->head_length] = 0;
    char *blank = strstr(c->head + from, "\r\n\r\n");
    if (!blank) {
        *at += length;
        return 0;
    }
    *at += length - (c->head_length - (blank + 4 - c->head));
    blank[2] = 0;
    c->status = atoi(c->head + 9);
    char *declared = strcasestr(c->head, "\ncontent-length:");
    c->is_chunked = strcasestr(c->head, "\ntransfer-encoding: chunked") != NULL;
    c->left = c->is_chunked ? 0 : declared ? atol(declared + 16) : -1;
    c->closes = c->left < 0 || strcasestr(c->head, "\nconnection: close") != NULL;
    c->in_body = 1;
    return 1;
}

/* Take one piece of a chunked body from *at, and return 1 at its end. */
static int take_chunk(Caller *c, char **at, char *end) {
    if (c->chunk_state == DATA) {
        long length = end - *at < c->left ? end - *at : c->left;
        read_body(c, *at, length);
        *at += length;
        c->left -= length;
        if (!c->left) c->chunk_state = AFTER_DATA;
        return 0;
    }
    int ch = *(*at)++;
    if (c->chunk_state == SIZE && hex_digit(ch) >= 0) c->left = c->left * 16 + hex_digit(ch);
    if (ch != '\n') return 0;
    if (c->chunk_state == TRAILER) return 1;
    c->chunk_state = c->chunk_state == AFTER_DATA ? SIZE : c->left ? DATA : TRAILER;
    return 0;
}

/* Take what has arrived, and return 1 when the answer is whole. */
static int take(Caller *c, char *at, char *end) {
    if (!c->in_body && !take_head(c, &at, end)) return 0;
    if (!c->is_chunked && !c->left) return 1;
    while (at < end) {
        if (c->is_chunked) {
            if (take_chunk(c, &at, end)) return 1;
            continue;
        }
        long length = c->left < 0 || end - at < c->left ? end - at : c->left;
        read_body(c, at, length);
        at += length;
        if (c->left > 0 && !(c->left -= length)) return 1;
    }
    return 0;
}

static void connected(int i) {
    Caller *c = &callers[i];
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (!error) {
        c->is_up = 1;
        ask(i);
        return;
    }
    close(c->fd);
    if (++refused > MAX_FAILED_DIALS) {
        fprintf(stderr, "connect: %s\n", strerror(error));
        exit(1);
    }
    if (now_ns() < stops_at) dial(i);
}

static void readable(int i) {
    static char buffer[262144];
    Caller *c = &callers[i];
    int length = recv(c->fd, buffer, sizeof buffer, 0);
    if (length < 0 && errno == EAGAIN) return;
    if (length > 0) {
        if (c->is_busy && take(c, buffer, buffer + length)) finish(i, 0);
    } else if (c->is_busy) {
        c->closes = 1;
        finish(i, !(c->in_body && !c->is_chunked && c->left < 0));
    } else {
        close(c->fd);
        if (now_ns() < stops_at && !c->is_finished) dial(i);
    }
}

static int is_over(int opened) {
    uint64_t at = now_ns();
    if (at < stops_at && !once) return 0;
    if (at > stops_at + (once ? PATIENCE_ONCE_NS : PATIENCE_NS)) return 1;
    for (int i = 0; i < caller_count; i++)
        if (i >= opened || callers[i].is_busy || (!callers[i].is_finished && at < stops_at)) return 0;
    return 1;
}

static void run(void) {
    struct epoll_event events[512];
    int opened = 0;
    while (!is_over(opened)) {
        for (int k = 0; k < DIALS_AT_A_TIME && opened < caller_count; k++) dial(opened++);
        int count = epoll_wait(poller, events, 512, opened < caller_count ? 1 : 50);
        for (int k = 0; k < count; k++) {
            int i = events[k].data.u32;
            Caller *c = &callers[i];
            if (!c->is_up) {
                if (events[k].events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) connected(i);
                continue;
            }
            if (events[k].events & EPOLLOUT && c->is_busy && c->sent < request_length) send_rest(i);
            if (events[k].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(i);
        }
    }
}

static int compare(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

static void show(const char *name, Series *s) {
    if (!s->count) return;
    qsort(s->values, s->count, sizeof(float), compare);
#define QUANTILE(p) s->values[(size_t)((s->count - 1) * (p))]
    printf(",\"%s\":{\"p50\":%.3f,\"p95\":%.3f,\"p99\":%.3f,\"max\":%.3f}", name, QUANTILE(.5), QUANTILE(.95),
           QUANTILE(.99), QUANTILE(1));
}

static void report(double seconds) {
    long hung = 0;
    for (int i = 0; i < caller_count; i++) hung += callers[i].is_busy;
    if (once) seconds = (now_ns() - begins_at) / 1e9;
    printf("{\"ok\":%ld,\"err\":%ld,\"bad\":%ld,\"hung\":%ld,\"rps\":%.1f,\"chunks_s\":%.1f", ok, refused, bad, hung,
           ok / seconds, chunks / seconds);
    show("whole", &whole);
    show("first", &first);
    show("after", &after);
    printf("}\n");
}

static void parse_url(char *url) {
    char ip[64] = "";
    if (!url || strncmp(url, "http://", 7)) {
        fprintf(stderr, "-u http://127.0.0.1:PORT/path\n");
        exit(2);
    }
    host = strdup(url + 7);
    path = strchrnul(host, '/');
    path = *path ? strdup(path) : "/";
    *strchrnul(host, '/') = 0;
    char *colon = strchrnul(host, ':');
    memcpy(ip, host, colon - host < (long)sizeof ip ? colon - host : (long)sizeof ip - 1);
    address.sin_family = AF_INET;
    address.sin_port = htons(*colon ? atoi(colon + 1) : 80);
    if (inet_pton(AF_INET, ip, &address.sin_addr) != 1) {
        fprintf(stderr, "The address must be given in digits.\n");
        exit(2);
    }
}

static void write_request(const char *model, const char *headers) {
    static const char stream[] = ",\"stream\":true,\"stream_options\":{\"include_usage\":true}";
    char *body;
    int length = asprintf(&body,
                          "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":"
                          "\"Say hello to the world in one short line.\"}],\"max_tokens\":64%s}",
                          model, streams ? stream : "");
    request_length = asprintf(&request,
                              "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
                              "Content-Length: %d\r\n%s\r\n%s",
                              path, host, length, headers, body);
    free(body);
}

int main(int argc, char **argv) {
    static char headers[8192];
    char *model = "vendor/mock", *url = NULL;
    double seconds = 4;
    int option;
    while ((option = getopt(argc, argv, "u:c:d:m:soH:")) > 0) {
        if (option == '?') return 2;
        if (option == 'u') url = optarg;
        if (option == 'c') caller_count = atoi(optarg);
        if (option == 'd') seconds = atof(optarg);
        if (option == 'm') model = optarg;
        if (option == 's') streams = 1;
        if (option == 'o') once = 1;
        if (option == 'H') {
            strncat(headers, optarg, sizeof headers - strlen(headers) - 3);
            strcat(headers, "\r\n");
        }
    }
    parse_url(url);
    write_request(model, headers);
    signal(SIGPIPE, SIG_IGN);
    callers = calloc(caller_count, sizeof *callers);
    poller = epoll_create1(0);
    begins_at = now_ns() + WARM_UP_NS;
    stops_at = begins_at + (uint64_t)(seconds * 1e9);
    run();
    report(seconds);
    return 0;
}
