/*
 * A peer on usrsctp, the SCTP of FreeBSD in user space, with its packets in UDP (RFC 6951), on 127.0.0.1.
 *
 *   peer echo UDP-PORT SCTP-PORT
 *       accepts one association after another, sends each message back on its stream, and says how each ended
 *   peer call UDP-PORT SCTP-PORT REMOTE-UDP-PORT REMOTE-SCTP-PORT MESSAGES LARGEST END
 *       connects, sends messages of 1 to LARGEST bytes on 8 streams, every third of them unordered, and checks
 *       each echo; then by END:
 *       shutdown   ends in order
 *       reset      resets its streams (RFC 6525), sends all messages once more on what is new streams, and ends
 *                  in order
 *       abort      ends with an ABORT
 *       stay       waits until the other end ends it, and says how
 *
 * Build: cc -O2 -o peer peer.c -lusrsctp -lpthread
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <usrsctp.h>

#define STREAMS 8
#define ROOM (1 << 20)
/* Fewer bytes under way than either end's buffers hold: nobody waits for an echo that waits for the next message. */
#define UNDER_WAY (ROOM / 4)

static void fail(const char *what) {
    fprintf(stderr, "peer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void say(const char *what, long count) {
    printf("%s %ld\n", what, count);
    fflush(stdout);
}

static void set(struct socket *socket, int level, int option, const void *value, socklen_t length, const char *what) {
    if (usrsctp_setsockopt(socket, level, option, value, length) < 0)
        fail(what);
}

static struct socket *open_socket(int port) {
    struct socket *socket = usrsctp_socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP, NULL, NULL, 0, NULL);
    if (socket == NULL)
        fail("socket");
    struct sctp_initmsg init = {.sinit_num_ostreams = STREAMS, .sinit_max_instreams = STREAMS};
    set(socket, IPPROTO_SCTP, SCTP_INITMSG, &init, sizeof init, "SCTP_INITMSG");
    int on = 1, room = ROOM;
    set(socket, IPPROTO_SCTP, SCTP_NODELAY, &on, sizeof on, "SCTP_NODELAY");
    set(socket, IPPROTO_SCTP, SCTP_RECVRCVINFO, &on, sizeof on, "SCTP_RECVRCVINFO");
    set(socket, SOL_SOCKET, SO_RCVBUF, &room, sizeof room, "SO_RCVBUF");
    set(socket, SOL_SOCKET, SO_SNDBUF, &room, sizeof room, "SO_SNDBUF");
    struct sctp_assoc_value resets = {.assoc_id = SCTP_FUTURE_ASSOC, .assoc_value = SCTP_ENABLE_RESET_STREAM_REQ};
    set(socket, IPPROTO_SCTP, SCTP_ENABLE_STREAM_RESET, &resets, sizeof resets, "SCTP_ENABLE_STREAM_RESET");
    struct sctp_event reset = {.se_assoc_id = SCTP_FUTURE_ASSOC, .se_type = SCTP_STREAM_RESET_EVENT, .se_on = 1};
    set(socket, IPPROTO_SCTP, SCTP_EVENT, &reset, sizeof reset, "SCTP_EVENT");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (usrsctp_bind(socket, (struct sockaddr *)&address, sizeof address) < 0)
        fail("bind");
    return socket;
}

/* What receive() returns beside lengths of messages. */
enum { ENDED = 0, ABORTED = -1, RESET = -2 };

/* A whole message into `buffer`, and its length; or what else has happened. */
static ssize_t receive(struct socket *socket, char *buffer, struct sctp_rcvinfo *info) {
    size_t have = 0;
    for (;;) {
        struct sockaddr_in from;
        socklen_t from_length = sizeof from, info_length = sizeof *info;
        unsigned int kind = 0;
        int flags = 0;
        ssize_t got = usrsctp_recvv(socket, buffer + have, ROOM - have, (struct sockaddr *)&from, &from_length, info,
                                    &info_length, &kind, &flags);
        if (got < 0 && errno == ECONNRESET)
            return ABORTED;
        if (got < 0)
            fail("receive");
        if (got == 0)
            return ENDED;
        if (flags & MSG_NOTIFICATION) {
            struct sctp_stream_reset_event *reset = (struct sctp_stream_reset_event *)(buffer + have);
            if (reset->strreset_flags & (SCTP_STREAM_RESET_DENIED | SCTP_STREAM_RESET_FAILED)) {
                fprintf(stderr, "peer: the other end resets no streams\n");
                exit(1);
            }
            return RESET;
        }
        have += got;
        if (flags & MSG_EOR)
            return have;
    }
}

static void send_message(struct socket *socket, const char *bytes, size_t length, int stream, uint32_t ppid, int unordered) {
    struct sctp_sndinfo info = {.snd_sid = stream, .snd_ppid = htonl(ppid), .snd_flags = unordered ? SCTP_UNORDERED : 0};
    ssize_t sent = usrsctp_sendv(socket, bytes, length, NULL, 0, &info, sizeof info, SCTP_SENDV_SNDINFO, 0);
    if (sent != (ssize_t)length)
        fail("send");
}

static void echo(int port) {
    struct socket *listener = open_socket(port);
    if (usrsctp_listen(listener, 4) < 0)
        fail("listen");
    say("listening", port);
    char *buffer = malloc(ROOM);
    for (;;) {
        struct socket *socket = usrsctp_accept(listener, NULL, NULL);
        if (socket == NULL)
            fail("accept");
        struct sctp_rcvinfo info;
        ssize_t length;
        long count = 0;
        while ((length = receive(socket, buffer, &info)) > 0 || length == RESET) {
            if (length == RESET)
                continue;
            send_message(socket, buffer, length, info.rcv_sid, ntohl(info.rcv_ppid), info.rcv_flags & SCTP_UNORDERED);
            count++;
        }
        usrsctp_close(socket);
        say(length == ENDED ? "echoed, ended" : "echoed, aborted", count);
    }
}

static size_t length_of(long message, long largest) {
    return 1 + (message * 7919) % largest;
}

/* Sends messages and takes their echoes. The ordered ones of a stream must come in their order. */
static void exchange(struct socket *socket, long messages, long largest) {
    char *sent = malloc(largest), *got = malloc(ROOM), *seen = calloc(messages, 1);
    long out = 0, in = 0, under_way = 0, last[STREAMS];
    memset(last, -1, sizeof last);
    while (in < messages) {
        while (out < messages && under_way < UNDER_WAY) {
            size_t length = length_of(out, largest);
            memset(sent, (char)out, length);
            send_message(socket, sent, length, out % STREAMS, (uint32_t)out, out % 3 == 0);
            under_way += length;
            out++;
        }
        struct sctp_rcvinfo info;
        ssize_t length = receive(socket, got, &info);
        long message = ntohl(info.rcv_ppid);
        int ordered = message % 3 != 0;
        if (length <= 0 || message >= messages || seen[message] || (size_t)length != length_of(message, largest) ||
            info.rcv_sid != message % STREAMS || (ordered && message < last[info.rcv_sid])) {
            fprintf(stderr, "peer: echo %ld of %zd bytes on stream %d is not what was sent\n", message, length, info.rcv_sid);
            exit(1);
        }
        for (ssize_t at = 0; at < length; at++) {
            if (got[at] != (char)message) {
                fprintf(stderr, "peer: byte %zd of echo %ld is another\n", at, message);
                exit(1);
            }
        }
        if (ordered)
            last[info.rcv_sid] = message;
        seen[message] = 1;
        under_way -= length;
        in++;
    }
    free(sent);
    free(got);
    free(seen);
    say("echoed", in);
}

static void expect(struct socket *socket, ssize_t wanted, const char *what) {
    char *buffer = malloc(ROOM);
    struct sctp_rcvinfo info;
    ssize_t got = receive(socket, buffer, &info);
    if (got != wanted) {
        fprintf(stderr, "peer: no %s, but %zd\n", what, got);
        exit(1);
    }
    free(buffer);
}

static void call(struct socket *socket, int remote_udp_port, int remote_port, long messages, long largest, const char *end) {
    struct sctp_udpencaps encapsulation = {.sue_port = htons(remote_udp_port)};
    encapsulation.sue_address.ss_family = AF_INET;
    set(socket, IPPROTO_SCTP, SCTP_REMOTE_UDP_ENCAPS_PORT, &encapsulation, sizeof encapsulation, "UDP_ENCAPS_PORT");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(remote_port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (usrsctp_connect(socket, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect");
    exchange(socket, messages, largest);
    if (strcmp(end, "stay") == 0) {
        char *buffer = malloc(ROOM);
        struct sctp_rcvinfo info;
        ssize_t got = receive(socket, buffer, &info);
        say(got == ENDED ? "ended" : got == ABORTED ? "aborted" : "neither", got);
        usrsctp_close(socket);
        return;
    }
    if (strcmp(end, "abort") == 0) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        set(socket, SOL_SOCKET, SO_LINGER, &linger, sizeof linger, "SO_LINGER");
        usrsctp_close(socket);
        return;
    }
    if (strcmp(end, "reset") == 0) {
        struct sctp_reset_streams all = {.srs_assoc_id = SCTP_FUTURE_ASSOC, .srs_flags = SCTP_STREAM_RESET_OUTGOING};
        set(socket, IPPROTO_SCTP, SCTP_RESET_STREAMS, &all, sizeof all, "SCTP_RESET_STREAMS");
        expect(socket, RESET, "reset of its streams");
        exchange(socket, messages, largest);
    }
    if (usrsctp_shutdown(socket, SHUT_WR) < 0)
        fail("shutdown");
    expect(socket, ENDED, "end in order");
    usrsctp_close(socket);
}

int main(int count, char **arguments) {
    if (count < 4)
        return 2;
    usrsctp_init(atoi(arguments[2]), NULL, NULL);
    usrsctp_sysctl_set_sctp_blackhole(2);
    if (strcmp(arguments[1], "echo") == 0)
        echo(atoi(arguments[3]));
    if (strcmp(arguments[1], "call") != 0 || count != 9)
        return 2;
    struct socket *socket = open_socket(atoi(arguments[3]));
    call(socket, atoi(arguments[4]), atoi(arguments[5]), atol(arguments[6]), atol(arguments[7]), arguments[8]);
    while (usrsctp_finish() != 0)
        usleep(10000);
    return 0;
}
