// What a page does in a browser: the conversation of phone.mjs over the browser's own WebSocket, and then a
// call with sound and picture to another phone of the page, through the same server. Writes to the console
// what phone.mjs writes, and how the other call went.
import { converse } from "./conversation.mjs";
import { sipJs } from "./sip-js.mjs";

const MEDIA = { audio: true, video: true };

const connectionOf = (call) => call.session.sessionDescriptionHandler.peerConnection;

// Resolves when something of each kind has come in.
async function mediaOf(call) {
    const missing = new Set(Object.keys(MEDIA));
    while (missing.size > 0) {
        for (const report of (await connectionOf(call).getStats()).values()) {
            if (report.type === "inbound-rtp" && report.packetsReceived > 0) missing.delete(report.kind);
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
}

async function callWithMedia(SIP, options) {
    const [alice, bob] = ["alice", "bob"].map((user) => sipJs(SIP, { ...options, user, media: MEDIA }));
    await Promise.all([alice.register(), bob.register()]);
    const taken = new Promise((resolve) => {
        bob.onCall = async (subject, call) => {
            await call.answer();
            await mediaOf(call);
            resolve({ subject, ended: call.ended });
        };
    });
    const call = alice.call("sip:bob@sip.test", "to be seen");
    await call.established;
    await mediaOf(call);
    const { subject, ended } = await taken;
    const offer = connectionOf(call).localDescription.sdp.length;
    call.hangUp();
    const report = { subject, offer, alice: await call.ended, bob: await ended };
    await Promise.all([alice.unregister(), bob.unregister()]);
    return report;
}

export async function run(SIP, server, peer) {
    const say = (line) => console.log(line);
    try {
        const phone = sipJs(SIP, { server, user: "alice", say });
        say(`seen ${JSON.stringify(await converse(phone, peer, say))}`);
        say(`media ${JSON.stringify(await callWithMedia(SIP, { server, say }))}`);
    } catch (error) {
        say(`failed ${error.stack}`);
    }
}
