// A phone of a browser without a browser: Node with the WebSocket of `ws`, and calls without media.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { SilentConnection, jssip } from "./jssip.mjs";
import { sipJs } from "./sip-js.mjs";

export const say = (line) => console.log(line);

// `modules` is the directory with the libraries, `library` sip-js or jssip, `server` the URL of the WebSocket,
// `authority` the file of the certificate that a wss: server's one is signed with.
export async function nodePhone(modules, library, server, user, authority) {
    const require = createRequire(`${modules}/`);
    const WebSocket = require("ws");
    const ca = readFileSync(authority);
    globalThis.window = globalThis;
    globalThis.WebSocket = class extends WebSocket {
        constructor(url, protocols) {
            super(url, protocols, { ca });
        }
    };
    globalThis.RTCPeerConnection = SilentConnection;
    globalThis.RTCSessionDescription = Object;
    const options = { server, user, say };
    return library === "jssip"
        ? jssip(require("jssip"), options)
        : sipJs(await import(require.resolve("sip.js")), options);
}
