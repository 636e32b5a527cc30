//! DTLS 1.2 without a socket: a stateless cookie front, and sessions on OpenSSL with memory buffers.
