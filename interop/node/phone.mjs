// node phone.mjs MODULES sip-js|jssip SERVER USER PEER [CA]
//
// A phone of a browser without a browser: converses (conversation.mjs) through the WebSocket at SERVER with
// the phone at PEER. MODULES is the directory with the libraries, CA the file of an authority for wss.
// Writes a line at each step, and what it has seen, as JSON, at the end.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { converse } from "./conversation.mjs";
import { SilentConnection, jssip } from "./jssip.mjs";
import { sipJs } from "./sip-js.mjs";

const [modules, library, server, user, peer, authority] = process.argv.slice(2);
const say = (line) => console.log(line);
const require = createRequire(`${modules}/`);

const WebSocket = require("ws");
const ca = authority && readFileSync(authority);
globalThis.window = globalThis;
globalThis.WebSocket = class extends WebSocket {
    constructor(url, protocols) {
        super(url, protocols, { ca });
    }
};
globalThis.RTCPeerConnection = SilentConnection;
globalThis.RTCSessionDescription = Object;

const options = { server, user, say };
const phone = library === "jssip"
    ? jssip(require("jssip"), options)
    : sipJs(await import(require.resolve("sip.js")), options);
say(`seen ${JSON.stringify(await converse(phone, peer, say))}`);
process.exit();
