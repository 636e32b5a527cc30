// What a page does in a browser: the conversation of phone.mjs over the browser's own WebSocket, and then a
// call with sound and picture to another phone of the page, through the same server. Writes to the console
// what phone.mjs writes, and how the other call went.
import { converse } from "./conversation.mjs";
import { sipJs } from "./sip-js.mjs";

const CONSTRAINTS = { audio: true, video: true };

const connectionOf = (call) => call.session.sessionDescriptionHandler.peerConnection;

// When something of each kind has come in: the type of the candidate it goes by, host or relay.
async function mediaOf(call) {
    const missing = new Set(Object.keys(CONSTRAINTS));
    while (true) {
        const stats = await connectionOf(call).getStats();
        for (const report of stats.values()) {
            if (report.type === "inbound-rtp" && report.packetsReceived > 0) missing.delete(report.kind);
            if (report.type === "transport" && missing.size === 0) {
                return stats.get(stats.get(report.selectedCandidatePairId).localCandidateId).candidateType;
            }
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
}

async function callWithMedia(SIP, options) {
    const [alice, bob] = ["alice", "bob"].map((user) => sipJs(SIP, { ...options, user }));
    await Promise.all([alice.register(), bob.register()]);
    const taken = new Promise((resolve) => {
        bob.onCall = async (subject, call) => {
            await call.answer();
            resolve({ subject, theirs: await mediaOf(call), ended: call.ended });
        };
    });
    const call = alice.call("sip:bob@sip.test", "to be seen");
    await call.established;
    const ours = await mediaOf(call);
    const { subject, theirs, ended } = await taken;
    const offer = connectionOf(call).localDescription.sdp.length;
    call.hangUp();
    const report = { subject, offer, ways: [ours, theirs], alice: await call.ended, bob: await ended };
    await Promise.all([alice.unregister(), bob.unregister()]);
    return report;
}

// `ice` is the configuration of the peer connections.
export async function run(SIP, server, peer, ice) {
    const say = (line) => console.log(line);
    try {
        const phone = sipJs(SIP, { server, user: "alice", say });
        say(`seen ${JSON.stringify(await converse(phone, peer, say))}`);
        const media = { constraints: CONSTRAINTS, ice };
        say(`media ${JSON.stringify(await callWithMedia(SIP, { server, say, media }))}`);
    } catch (error) {
        say(`failed ${error.stack}`);
    }
}
