// What a phone in a browser does in a test, whichever library it is made of: it registers, asks and calls a
// phone at `peer`, is asked and called, and unregisters. Returns what it has seen.
//
// `phone` has: register(); unregister(); ask(method, uri, text), which resolves to the status; and
// call(uri, subject), which has `ringing`, `answer`, which resolves to the status, and cancel().
// phone.onMessage(text) and phone.onCall(subject, call) are called when it is asked and called; that call has
// answer(), refuse(), and `cancelled`. Either has hangUp() and `ended`, which resolves, after the answer, to
// who has ended it: "here" or "there".

// A subject says what is to become of a call; these two, that whoever is called does it. The scenarios of
// sipp know them.
const YOU = "you hang up";
const BUSY = "be busy";
// This one, that it is not answered.
const RING = "ring";
const TEXT = "grüße";

export async function converse(phone, peer, say) {
    const seen = { asked: {}, heard: [], calling: {}, called: {} };
    const called = (count) => new Promise((resolve) => {
        phone.onCall = async (subject, call) => {
            seen.called[subject] = await take(subject, call);
            if (--count === 0) resolve();
        };
    });
    phone.onMessage = (text) => seen.heard.push(text);

    await phone.register();
    say("registered");
    for (const method of ["OPTIONS", "MESSAGE"]) {
        seen.asked[method] = await phone.ask(method, peer, TEXT);
    }
    for (const subject of ["we hang up", YOU, BUSY, RING]) {
        seen.calling[subject] = await make(subject, phone.call(peer, subject));
        say(`made: ${subject}: ${seen.calling[subject]}`);
    }
    const all = called(4);
    say("to be called");
    await all;
    await phone.unregister();
    return seen;
}

async function make(subject, call) {
    if (subject === RING) {
        // Unless it is answered, or refused.
        await Promise.race([call.ringing, call.answer]);
        call.cancel();
    }
    const status = await call.answer;
    if (status !== 200) return status;
    if (subject !== YOU) call.hangUp();
    return `ended ${await call.ended}`;
}

async function take(subject, call) {
    if (subject === BUSY) return call.refuse();
    if (subject === RING) return call.cancelled;
    await call.answer();
    if (subject === YOU) call.hangUp();
    return `ended ${await call.ended}`;
}

// What media there is where there is none: enough for a UDP phone that sends none either.
export const SDP = [
    "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0", "m=audio 9 RTP/AVP 0", "",
].join("\r\n");
