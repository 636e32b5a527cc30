//! Batched datagram system calls for Linux: recvmmsg, sendmmsg, GRO, GSO, packet info, the error queue, epoll.
