/*
 * A peer on usrsctp, the SCTP of FreeBSD in user space, with its packets in UDP (RFC 6951).
 *
 *   peer echo UDP-PORT SCTP-PORT
 *       accepts one association after another and sends each message back on its stream
 *   peer call UDP-PORT REMOTE-UDP-PORT SCTP-PORT MESSAGES LARGEST
 *       connects to 127.0.0.1, sends messages of 1 to LARGEST bytes on 8 streams, every third of them unordered,
 *       and checks each echo
 *
 * Build: cc -O2 -o peer peer.c -lusrsctp -lpthread
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <usrsctp.h>

#define STREAMS 8
#define ROOM (1 << 20)

static void fail(const char *what) {
    fprintf(stderr, "peer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void set(struct socket *socket, int level, int option, const void *value, socklen_t length, const char *what) {
    if (usrsctp_setsockopt(socket, level, option, value, length) < 0)
        fail(what);
}

static struct socket *open_socket(void) {
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
    return socket;
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* A whole message into `buffer`; its length, 0 at the end of the association. */
static size_t receive(struct socket *socket, char *buffer, struct sctp_rcvinfo *info) {
    size_t have = 0;
    for (;;) {
        struct sockaddr_in from;
        socklen_t from_length = sizeof from, info_length = sizeof *info;
        unsigned int kind = 0;
        int flags = 0;
        ssize_t got = usrsctp_recvv(socket, buffer + have, ROOM - have, (struct sockaddr *)&from, &from_length, info,
                                    &info_length, &kind, &flags);
        if (got < 0)
            fail("receive");
        if (got == 0)
            return 0;
        if (flags & MSG_NOTIFICATION)
            continue;
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
    struct socket *listener = open_socket();
    struct sockaddr_in address = loopback(port);
    if (usrsctp_bind(listener, (struct sockaddr *)&address, sizeof address) < 0)
        fail("bind");
    if (usrsctp_listen(listener, 4) < 0)
        fail("listen");
    puts("listening");
    fflush(stdout);
    char *buffer = malloc(ROOM);
    for (;;) {
        struct socket *socket = usrsctp_accept(listener, NULL, NULL);
        if (socket == NULL)
            fail("accept");
        struct sctp_rcvinfo info;
        size_t length;
        long count = 0;
        while ((length = receive(socket, buffer, &info)) > 0) {
            send_message(socket, buffer, length, info.rcv_sid, ntohl(info.rcv_ppid), info.rcv_flags & SCTP_UNORDERED);
            count++;
        }
        usrsctp_close(socket);
        printf("echoed %ld\n", count);
        fflush(stdout);
    }
}

static size_t length_of(long message, long largest) {
    return 1 + (message * 7919) % largest;
}

static void call(int remote_udp_port, int port, long messages, long largest) {
    struct socket *socket = open_socket();
    struct sctp_udpencaps encapsulation = {.sue_port = htons(remote_udp_port)};
    encapsulation.sue_address.ss_family = AF_INET;
    set(socket, IPPROTO_SCTP, SCTP_REMOTE_UDP_ENCAPS_PORT, &encapsulation, sizeof encapsulation, "UDP_ENCAPS_PORT");
    struct sockaddr_in address = loopback(port);
    if (usrsctp_connect(socket, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect");
    char *sent = malloc(largest), *got = malloc(ROOM), *seen = calloc(messages, 1);
    long out = 0, in = 0;
    /* A few messages under way, so that neither end's buffers fill. */
    while (in < messages) {
        while (out < messages && out - in < 16) {
            size_t length = length_of(out, largest);
            memset(sent, (char)out, length);
            send_message(socket, sent, length, out % STREAMS, (uint32_t)out, out % 3 == 0);
            out++;
        }
        struct sctp_rcvinfo info;
        size_t length = receive(socket, got, &info);
        long message = ntohl(info.rcv_ppid);
        if (length == 0 || message >= messages || seen[message] || length != length_of(message, largest) ||
            info.rcv_sid != message % STREAMS || got[0] != (char)message || got[length - 1] != (char)message) {
            fprintf(stderr, "peer: echo %ld of %zu bytes on stream %d is not what was sent\n", message, length, info.rcv_sid);
            exit(1);
        }
        seen[message] = 1;
        in++;
    }
    if (usrsctp_shutdown(socket, SHUT_WR) < 0)
        fail("shutdown");
    struct sctp_rcvinfo info;
    if (receive(socket, got, &info) != 0) {
        fprintf(stderr, "peer: a message after the last\n");
        exit(1);
    }
    usrsctp_close(socket);
    printf("echoed %ld\n", in);
}

int main(int count, char **arguments) {
    if (count < 4)
        return 2;
    usrsctp_init(atoi(arguments[2]), NULL, NULL);
    usrsctp_sysctl_set_sctp_blackhole(2);
    if (strcmp(arguments[1], "echo") == 0)
        echo(atoi(arguments[3]));
    if (strcmp(arguments[1], "call") == 0 && count == 7)
        call(atoi(arguments[3]), atoi(arguments[4]), atol(arguments[5]), atol(arguments[6]));
    while (usrsctp_finish() != 0)
        usleep(10000);
    return 0;
}
