// What a phone in a browser does in a test, whichever library it is made of: it registers, asks and calls a
// phone at `peer`, is asked and called, and unregisters. Returns what it has seen.
//
// `phone` has: register(), unregister(), ask(method, uri, text) -> status, call(uri, subject) -> call;
// phone.onMessage(text) and phone.onCall(subject, call) are called when it is asked. A call has hangUp()
// and ended, which resolves when it is over to who ended it: "here" or "there".

// A subject that asks who is called to end the call.
const YOU = "you hang up";
const TEXT = "grüße";

export async function converse(phone, peer, say) {
    const seen = { asked: {}, heard: [], calls: [] };
    const called = (count) => new Promise((resolve) => {
        phone.onCall = async (subject, call) => {
            if (subject === YOU) call.hangUp();
            seen.calls.push(`called, ended ${await call.ended}`);
            if (--count === 0) resolve();
        };
    });
    phone.onMessage = (text) => seen.heard.push(text);

    await phone.register();
    say("registered");
    for (const method of ["OPTIONS", "MESSAGE"]) {
        seen.asked[method] = await phone.ask(method, peer, TEXT);
    }
    for (const subject of ["we hang up", YOU]) {
        const call = await phone.call(peer, subject);
        if (subject !== YOU) call.hangUp();
        seen.calls.push(`calling, ended ${await call.ended}`);
    }
    const both = called(2);
    say("to be called");
    await both;
    await phone.unregister();
    return seen;
}

// What media there is where there is none: enough for a UDP phone that sends none either.
export const SDP = [
    "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0", "m=audio 9 RTP/AVP 0", "",
].join("\r\n");
