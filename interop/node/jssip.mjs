// A phone on JsSIP, as conversation.mjs takes it. Its calls have no media.
//
// Over wss: it takes the server for its outbound proxy, to which its requests have a Route.
import { SDP } from "./conversation.mjs";

const SILENCE = { audio: false, video: false };
const STATUS = { Canceled: 487 };

export function jssip(JsSIP, { server, user, say }) {
    const phone = {};
    const agent = new JsSIP.UA({
        sockets: [new JsSIP.WebSocketInterface(server)],
        uri: `sip:${user}@sip.test`,
        // It registers when it is told to.
        register: false,
        session_timers: false,
        // How many seconds pass between two attempts to reconnect, which it makes by itself.
        connection_recovery_min_interval: 1,
        connection_recovery_max_interval: 1,
        use_preloaded_route: server.startsWith("wss:"),
    });
    const event = (source, name) => new Promise((resolve) => source.once(name, resolve));
    agent.on("disconnected", ({ error }) => say(`disconnected, error ${error}`));
    let registrations = 0;
    agent.on("registered", () => say(`registration ${++registrations}`));
    agent.on("newMessage", ({ originator, message, request }) => {
        if (originator === "remote") {
            phone.onMessage(request.body);
            message.accept();
        }
    });
    agent.on("newRTCSession", ({ originator, session, request }) => {
        if (originator === "local") return;
        const call = follow(session);
        call.cancelled = event(session, "failed").then(({ cause }) => (cause === "Canceled" ? "cancelled" : cause));
        call.answer = () => {
            session.answer({ mediaConstraints: SILENCE });
            return event(session, "confirmed");
        };
        call.refuse = () => {
            session.terminate({ status_code: 486 });
            return "refused";
        };
        phone.onCall(request.getHeader("Subject"), call);
    });

    const follow = (session) => ({
        hangUp: () => session.terminate(),
        ended: event(session, "ended").then(({ originator }) => (originator === "local" ? "here" : "there")),
    });

    phone.register = async () => {
        agent.start();
        await event(agent, "connected");
        agent.register();
        await event(agent, "registered");
    };
    phone.unregister = async () => {
        agent.unregister();
        await event(agent, "unregistered");
        agent.stop();
    };
    phone.ask = (method, uri, text) => new Promise((resolve) => {
        const done = ({ response }) => resolve(response?.status_code);
        const send = { OPTIONS: "sendOptions", MESSAGE: "sendMessage" }[method];
        agent[send](uri, text, { eventHandlers: { succeeded: done, failed: done } });
    });
    phone.call = (uri, subject) => {
        const session = agent.call(uri, { extraHeaders: [`Subject: ${subject}`], mediaConstraints: SILENCE });
        const call = follow(session);
        call.cancel = () => session.terminate();
        call.ringing = event(session, "progress");
        call.answer = Promise.race([
            event(session, "confirmed").then(() => 200),
            // The library does not wait for the 487 of a call that is cancelled here.
            event(session, "failed").then(({ cause, message }) => message?.status_code ?? STATUS[cause] ?? cause),
        ]);
        return call;
    };
    return phone;
}

// What a call takes of a peer connection, for a call without media.
export class SilentConnection extends EventTarget {
    iceGatheringState = "complete";
    iceConnectionState = "connected";
    signalingState = "stable";
    localDescription = null;
    createOffer = async () => ({ type: "offer", sdp: SDP });
    createAnswer = async () => ({ type: "answer", sdp: SDP });
    setLocalDescription = async (description) => { this.localDescription = description; };
    setRemoteDescription = async () => {};
    getSenders = () => [];
    close() {}
}
