// node comes-back.mjs MODULES LIBRARY SERVER USER CA
//
// A phone (node.mjs) that registers, and writes `here`. SIP.js does not come back by itself: at the first
// SIGHUP it loses its connection and writes `away`; at the second it comes back over another one, registers
// again, and writes `back`.
import { nodePhone, say } from "./node.mjs";

const phone = await nodePhone(...process.argv.slice(2));
// A listener keeps no process alive; the phone is nothing but waiting.
setInterval(() => {}, 1 << 30);
process.once("SIGHUP", async () => {
    process.once("SIGHUP", async () => {
        await phone.register();
        say("back");
    });
    await phone.lose();
    say("away");
});
await phone.register();
say("here");
