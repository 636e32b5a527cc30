// What a page does in a browser: the conversation of phone.mjs over the browser's own WebSocket, and then a
// call with sound to another phone of the page, through the same server. Writes to the console what
// phone.mjs writes, and how the other call went.
import { converse } from "./conversation.mjs";
import { sipJs } from "./sip-js.mjs";

// Resolves when sound has come in over the connection.
async function sound(connection) {
    while (true) {
        for (const report of (await connection.getStats()).values()) {
            if (report.type === "inbound-rtp" && report.packetsReceived > 0) return;
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
}

const connectionOf = (call) => call.session.sessionDescriptionHandler.peerConnection;

async function callWithSound(SIP, options) {
    const [alice, bob] = ["alice", "bob"].map((user) => sipJs(SIP, { ...options, user, media: true }));
    await Promise.all([alice.register(), bob.register()]);
    const heard = new Promise((resolve) => {
        bob.onCall = async (subject, call) => {
            await call.answer();
            await sound(connectionOf(call));
            resolve({ subject, ended: call.ended });
        };
    });
    const call = alice.call("sip:bob@sip.test", "with sound");
    await call.established;
    await sound(connectionOf(call));
    const { subject, ended } = await heard;
    call.hangUp();
    const report = { subject, alice: await call.ended, bob: await ended };
    await Promise.all([alice.unregister(), bob.unregister()]);
    return report;
}

export async function run(SIP, server, peer) {
    const say = (line) => console.log(line);
    try {
        const phone = sipJs(SIP, { server, user: "alice", say });
        say(`seen ${JSON.stringify(await converse(phone, peer, say))}`);
        say(`sound ${JSON.stringify(await callWithSound(SIP, { server, say }))}`);
    } catch (error) {
        say(`failed ${error.stack}`);
    }
}
