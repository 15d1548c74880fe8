/* A provider like OpenRouter that costs next to nothing: one thread, epoll.
 *
 *   upstream 9100
 *
 * POST …/chat/completions   an answer with its usage and cost, whole or streamed ("stream": true)
 * GET  /_stats              {"requests", "completed", "aborted", "chunks"}
 * GET  anything else        a list of one model
 *
 * The model's name steers the answer. What stands before "mock" is ignored:
 *   vendor/mock-c100-i20    100 chunks, 20 ms apart (default: 10 chunks, at once)
 * Each text begins with "~" and 16 hexadecimal digits: CLOCK_MONOTONIC in ns when it was written, so
 * that a load on the same machine (load.c) can tell how long it was on its way.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
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

#define MAX_CONNECTIONS 65536
#define MAX_STEPS_AT_A_TIME 4096
#define PROMPT_TOKENS 12
#define TEXT_SIZE 24
#define NANOS_A_PROMPT_TOKEN 1000     /* billionths of a US dollar */
#define NANOS_A_COMPLETION_TOKEN 3000

typedef struct {
    char *in;
    int in_length, in_capacity;
    char *out; /* what the socket has not taken yet */
    int out_length;
    int is_busy, is_streamed, chunks, sent, interval_ms;
    uint64_t due;
    unsigned long long id; /* of the generation that is being answered */
    uint32_t epoch;        /* tells the connection from a later one with the same number */
} Connection;

typedef struct {
    uint64_t due;
    int fd;
    uint32_t epoch;
} Timer;

static Connection connections[MAX_CONNECTIONS];
static Timer heap[MAX_CONNECTIONS * 2]; /* the earliest first */
static int heap_size, poller;
static uint64_t n_requests, n_completed, n_aborted, n_chunks, last_id;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

static void push(uint64_t due, int fd) {
    if (heap_size == MAX_CONNECTIONS * 2) return;
    int i = heap_size++;
    for (; i && heap[(i - 1) / 2].due > due; i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
    heap[i] = (Timer){due, fd, connections[fd].epoch};
}

static Timer pop(void) {
    Timer top = heap[0], last = heap[--heap_size];
    int i = 0, child;
    while ((child = 2 * i + 1) < heap_size) {
        if (child + 1 < heap_size && heap[child + 1].due < heap[child].due) child++;
        if (heap[child].due >= last.due) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = last;
    return top;
}

static void watch(int fd, int operation, uint32_t events) {
    struct epoll_event event = {events, {.fd = fd}};
    epoll_ctl(poller, operation, fd, &event);
}

static void drop(int fd) {
    Connection *c = &connections[fd];
    n_aborted += c->is_busy;
    c->is_busy = c->in_length = c->out_length = 0;
    free(c->out);
    c->out = NULL;
    c->epoch++;
    close(fd);
}

/* Send, keep what the socket does not take, and return -1 when nobody is there any more. */
static int put(int fd, const char *bytes, int length) {
    Connection *c = &connections[fd];
    if (!c->out_length) {
        int written = send(fd, bytes, length, MSG_NOSIGNAL);
        if (written == length) return 0;
        if (written < 0 && errno != EAGAIN) {
            drop(fd);
            return -1;
        }
        if (written > 0) {
            bytes += written;
            length -= written;
        }
        watch(fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
    c->out = realloc(c->out, c->out_length + length);
    memcpy(c->out + c->out_length, bytes, length);
    c->out_length += length;
    return 0;
}

static void reply(int fd, const char *generation, const char *body, int length) {
    char answer[4096];
    int size = snprintf(answer, sizeof answer,
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%.*s",
                        generation, length, length, body);
    put(fd, answer, size);
}

static void write_text(char *text) {
    char stamp[20];
    snprintf(stamp, sizeof stamp, "~%016llx", (unsigned long long)now_ns());
    memset(text, 'x', TEXT_SIZE);
    memcpy(text, stamp, 17);
    text[TEXT_SIZE] = 0;
}

static void write_usage(char *usage, size_t size, int completion_tokens) {
    long cost = PROMPT_TOKENS * NANOS_A_PROMPT_TOKEN + (long)completion_tokens * NANOS_A_COMPLETION_TOKEN;
    snprintf(usage, size,
             "\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d,\"total_tokens\":%d,"
             "\"cost\":%ld.%09ld,\"is_byok\":false,\"prompt_tokens_details\":{\"cached_tokens\":0},"
             "\"completion_tokens_details\":{\"reasoning_tokens\":0}}",
             PROMPT_TOKENS, completion_tokens, PROMPT_TOKENS + completion_tokens, cost / 1000000000,
             cost % 1000000000);
}

static void finish(int fd) {
    connections[fd].is_busy = 0;
    n_completed++;
}

static void answer_whole(int fd) {
    Connection *c = &connections[fd];
    char body[2048], text[TEXT_SIZE + 1], usage[512], generation[64];
    write_text(text);
    write_usage(usage, sizeof usage, c->chunks);
    c->id = ++last_id;
    snprintf(generation, sizeof generation, "X-Generation-Id: gen-%llu\r\n", c->id);
    int length = snprintf(body, sizeof body,
                          "{\"id\":\"gen-%llu\",\"provider\":\"Mock\",\"model\":\"mock\","
                          "\"object\":\"chat.completion\",\"created\":1750000000,\"choices\":[{\"logprobs\":null,"
                          "\"finish_reason\":\"stop\",\"native_finish_reason\":\"stop\",\"index\":0,\"message\":"
                          "{\"role\":\"assistant\",\"content\":\"%s\",\"refusal\":null,\"reasoning\":null}}],%s}",
                          c->id, text, usage);
    finish(fd);
    reply(fd, generation, body, length);
}

static int begin_stream(int fd) {
    char head[256];
    connections[fd].id = ++last_id;
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Generation-Id: gen-%llu\r\n"
                          "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n",
                          connections[fd].id);
    return put(fd, head, length);
}

/* One event in one chunk of the body; the last has no text but the usage, and ends the stream. */
static int write_event(Connection *c, char *frame, size_t size, int is_last) {
    char event[2048], text[TEXT_SIZE + 1] = "", tail[600] = "";
    if (is_last) {
        tail[0] = ',';
        write_usage(tail + 1, sizeof tail - 1, c->chunks);
    } else
        write_text(text);
    int length = snprintf(event, sizeof event,
                          "data: {\"id\":\"gen-%llu\",\"provider\":\"Mock\",\"model\":\"mock\","
                          "\"object\":\"chat.completion.chunk\",\"created\":1750000000,\"choices\":[{\"index\":0,"
                          "\"delta\":{\"role\":\"assistant\",\"content\":\"%s\"},\"finish_reason\":%s,"
                          "\"native_finish_reason\":%s,\"logprobs\":null}]%s}\n\n%s",
                          c->id, text, is_last ? "\"stop\"" : "null", is_last ? "\"stop\"" : "null", tail,
                          is_last ? "data: [DONE]\n\n" : "");
    return snprintf(frame, size, "%x\r\n%s\r\n%s", length, event, is_last ? "0\r\n\r\n" : "");
}

/* Send what is due of a running answer. */
static void step(int fd) {
    Connection *c = &connections[fd];
    char frame[4096];
    if (!c->is_streamed) {
        answer_whole(fd);
        return;
    }
    if (!c->sent && begin_stream(fd)) return;
    int is_last = c->sent >= c->chunks, length = write_event(c, frame, sizeof frame, is_last);
    c->sent++;
    n_chunks++;
    if (is_last) finish(fd);
    if (put(fd, frame, length) || is_last) return;
    /* keep to the schedule, but never catch up in a burst */
    uint64_t now = now_ns();
    c->due += c->interval_ms * 1000000ull;
    if (c->due < now) c->due = now;
    push(c->due, fd);
}

static long option(const char *model, const char *end, char name, long otherwise) {
    for (const char *p = model; p + 2 < end; p++)
        if (p[0] == '-' && p[1] == name && p[2] >= '0' && p[2] <= '9') return strtol(p + 2, NULL, 10);
    return otherwise;
}

static void list_models(int fd) {
    static const char models[] =
        "{\"object\":\"list\",\"data\":[{\"id\":\"vendor/mock\",\"object\":\"model\",\"name\":\"mock\","
        "\"created\":1750000000,\"context_length\":128000,"
        "\"pricing\":{\"prompt\":\"0.000001\",\"completion\":\"0.000003\"}}]}";
    reply(fd, "", models, sizeof models - 1);
}

static void show_stats(int fd) {
    char stats[256];
    int length = snprintf(stats, sizeof stats,
                          "{\"requests\":%llu,\"completed\":%llu,\"aborted\":%llu,\"chunks\":%llu}",
                          (unsigned long long)n_requests, (unsigned long long)n_completed,
                          (unsigned long long)n_aborted, (unsigned long long)n_chunks);
    reply(fd, "", stats, length);
}

static void handle(int fd, const char *head, const char *body) {
    Connection *c = &connections[fd];
    if (!strncmp(head, "GET /_stats", 11)) {
        show_stats(fd);
        return;
    }
    if (strncmp(head, "POST ", 5)) {
        list_models(fd);
        return;
    }
    n_requests++;
    const char *model = strstr(body, "\"model\""), *end = model;
    if (model && (model = strchr(model + 7, '"')) && (end = strchr(++model, '"'))) {
        const char *name = memmem(model, end - model, "mock", 4);
        if (name) model = name;
    } else
        model = end = body;
    const char *stream = strstr(body, "\"stream\"");
    if (stream) stream += 8 + strspn(stream + 8, " :\t\n");
    c->is_streamed = stream && *stream == 't';
    c->chunks = option(model, end, 'c', 10);
    c->interval_ms = option(model, end, 'i', 0);
    c->sent = 0;
    c->is_busy = 1;
    c->due = now_ns();
    step(fd);
}

/* How long the body is that follows head; -1 when that is not known yet. It may stay framed: it is only searched. */
static long body_length(const char *head, const char *body, int available) {
    const char *declared = strcasestr(head, "\ncontent-length:");
    if (declared) return atol(declared + 16);
    if (!strcasestr(head, "\ntransfer-encoding: chunked")) return 0;
    const char *end = memmem(body, available, "0\r\n\r\n", 5);
    return end ? end + 5 - body : -1;
}

/* Answer the requests that have arrived whole. */
static void feed(int fd) {
    Connection *c = &connections[fd];
    while (c->in_length && !c->is_busy) {
        c->in[c->in_length] = 0;
        char *blank = memmem(c->in, c->in_length, "\r\n\r\n", 4);
        if (!blank) return;
        char *body = blank + 4;
        int available = c->in_length - (body - c->in);
        *blank = 0;
        long length = body_length(c->in, body, available);
        if (length < 0 || available < length) {
            int is_asked = !available && strcasestr(c->in, "\nexpect: 100-continue");
            *blank = '\r';
            if (is_asked) put(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
            return;
        }
        char next = body[length];
        uint32_t epoch = c->epoch;
        body[length] = 0;
        handle(fd, c->in, body);
        if (c->epoch != epoch) return;
        body[length] = next;
        c->in_length = available - length;
        memmove(c->in, body + length, c->in_length);
    }
}

static void readable(int fd) {
    Connection *c = &connections[fd];
    uint32_t epoch = c->epoch;
    int room, length;
    do {
        if (c->in_capacity - c->in_length < 4097) {
            c->in_capacity = c->in_capacity ? c->in_capacity * 2 : 16384;
            c->in = realloc(c->in, c->in_capacity);
        }
        room = c->in_capacity - c->in_length - 1;
        length = recv(fd, c->in + c->in_length, room, 0);
        if (length == 0 || (length < 0 && errno != EAGAIN)) drop(fd);
        if (length <= 0) return;
        c->in_length += length;
        feed(fd);
    } while (c->epoch == epoch && length == room);
}

static void writable(int fd) {
    Connection *c = &connections[fd];
    int written = send(fd, c->out, c->out_length, MSG_NOSIGNAL);
    if (written < 0 && errno != EAGAIN) {
        drop(fd);
        return;
    }
    if (written > 0) memmove(c->out, c->out + written, c->out_length -= written);
    if (!c->out_length) watch(fd, EPOLL_CTL_MOD, EPOLLIN);
}

static void accept_all(int listener) {
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MAX_CONNECTIONS) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        watch(fd, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static void serve(int fd, uint32_t events) {
    Connection *c = &connections[fd];
    uint32_t epoch = c->epoch;
    if (events & EPOLLOUT && c->out_length) writable(fd);
    if (c->epoch == epoch && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(fd);
}

static void run_timers(void) {
    uint64_t now = now_ns();
    for (int i = 0; i < MAX_STEPS_AT_A_TIME && heap_size && heap[0].due <= now; i++) {
        Timer timer = pop();
        Connection *c = &connections[timer.fd];
        if (c->epoch != timer.epoch || !c->is_busy) continue;
        step(timer.fd);
        if (c->epoch == timer.epoch && !c->is_busy) feed(timer.fd);
    }
}

static int listen_on(int port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int yes = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) {
        perror("listen");
        exit(1);
    }
    return listener;
}

static int milliseconds_to_next_timer(void) {
    if (!heap_size) return -1;
    uint64_t now = now_ns();
    return heap[0].due <= now ? 0 : (int)((heap[0].due - now + 999999) / 1000000);
}

int main(int argc, char **argv) {
    struct epoll_event events[512];
    signal(SIGPIPE, SIG_IGN);
    last_id = (uint64_t)time(NULL) * 1000000; /* no id comes twice, also after a restart */
    int listener = listen_on(argc > 1 ? atoi(argv[1]) : 9100);
    poller = epoll_create1(0);
    watch(listener, EPOLL_CTL_ADD, EPOLLIN);
    for (;;) {
        int count = epoll_wait(poller, events, 512, milliseconds_to_next_timer());
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener) accept_all(listener);
            else serve(events[i].data.fd, events[i].events);
        }
        run_timers();
    }
}
