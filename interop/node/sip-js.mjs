// A phone on SIP.js, as conversation.mjs takes it. Its calls have no media unless `media` says which, by the
// `constraints` of getUserMedia, and by which way, `ice`, the configuration of a peer connection.
//
// Over wss: it takes the server for its outbound proxy, to which its requests have a Route.
import { SDP } from "./conversation.mjs";

// How often it pings: it takes a fraction of it, by chance.
const PING_SECONDS = 0.2;

export function sipJs(SIP, { server, user, say, media }) {
    const { UserAgent, UserAgentState, Registerer, Inviter, SessionState } = SIP;
    const phone = {};
    const { protocol, host } = new URL(server);
    const transport = protocol.slice(0, -1);
    let pongs = 0;
    let ponged;
    const pong = new Promise((resolve) => { ponged = resolve; });

    const agent = new UserAgent({
        uri: UserAgent.makeURI(`sip:${user}@sip.test`),
        transportOptions: { server, keepAliveInterval: PING_SECONDS, traceSip: true },
        contactParams: { transport },
        preloadedRouteSet: transport === "wss" ? [`<sip:${host};transport=ws;lr>`] : [],
        ...(media
            ? { sessionDescriptionHandlerFactoryOptions: { peerConnectionConfiguration: media.ice } }
            : { sessionDescriptionHandlerFactory: silent }),
        logBuiltinEnabled: false,
        logLevel: "debug",
        logConnector: (level, category, label, content) => {
            if (content.includes("CRLF Keep Alive response") && ++pongs === 2) ponged();
            if (level === "error" || level === "warn") say(`${level} ${content}`);
        },
        delegate: {
            onMessage: async (message) => {
                phone.onMessage(message.request.body);
                await message.accept();
            },
            onInvite: (session) => {
                const call = follow(session);
                call.cancelled = new Promise((resolve) => {
                    session.delegate = { onCancel: () => resolve("cancelled") };
                });
                call.answer = () => Promise.all([session.accept(taking), call.established]);
                call.refuse = () => session.reject({ statusCode: 486 }).then(() => "refused");
                phone.onCall(session.request.getHeader("Subject"), call);
            },
        },
    });
    const taking = media && { sessionDescriptionHandlerOptions: { constraints: media.constraints } };
    const registerer = new Registerer(agent, { regId: 1 });

    function follow(session) {
        const call = { session };
        let here = false;
        call.hangUp = () => { here = true; session.bye(); };
        const reached = (state) => new Promise((resolve) => {
            session.stateChange.addListener((now) => { if (now === state) resolve(); });
        });
        call.established = reached(SessionState.Established);
        call.ended = reached(SessionState.Terminated).then(() => (here ? "here" : "there"));
        return call;
    }

    // Resolves to the answer of a request; `send` takes its handlers.
    const answer = (send) => new Promise((resolve) => {
        const done = (response) => resolve(response.message.statusCode);
        send({ onAccept: done, onReject: done, onRedirect: done });
    });
    const mustBeTaken = (status) => {
        if (status !== 200) throw new Error(`the answer is ${status}`);
    };

    phone.register = async () => {
        await (agent.state === UserAgentState.Started ? agent.reconnect() : agent.start());
        mustBeTaken(await answer((requestDelegate) => registerer.register({ requestDelegate })));
    };
    // Without a word to anybody: the registration stays.
    phone.lose = () => agent.transport.disconnect();
    phone.unregister = async () => {
        // Two answers to pings within what a conversation takes.
        await pong;
        mustBeTaken(await answer((requestDelegate) => registerer.unregister({ requestDelegate })));
        await agent.stop();
    };
    phone.ask = (method, uri, text) => {
        const [to, core] = [UserAgent.makeURI(uri), agent.userAgentCore];
        const from = agent.configuration.uri;
        const body = { contentDisposition: "render", contentType: "text/plain", content: text };
        const request = core.makeOutgoingRequestMessage(method, to, from, to, {}, [], body);
        return answer((delegate) => core.request(request, delegate));
    };
    phone.call = (uri, subject) => {
        const extraHeaders = [`Subject: ${subject}`];
        const inviter = new Inviter(agent, UserAgent.makeURI(uri), { extraHeaders, ...taking });
        const call = follow(inviter);
        call.cancel = () => inviter.cancel();
        call.ringing = new Promise((resolve) => {
            call.answer = answer((handlers) => inviter.invite({
                requestDelegate: {
                    ...handlers,
                    onProgress: ({ message }) => { if (message.statusCode === 180) resolve(); },
                },
            }));
        });
        return call;
    };
    return phone;
}

function silent() {
    return {
        close() {},
        getDescription: async () => ({ body: SDP, contentType: "application/sdp" }),
        hasDescription: (contentType) => contentType === "application/sdp",
        setDescription: async () => {},
    };
}
