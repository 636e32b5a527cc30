// node phone.mjs MODULES LIBRARY SERVER USER CA PEER
//
// A phone (node.mjs) that converses (conversation.mjs) with the phone at PEER. Writes a line at each step, and
// what it has seen, as JSON, at the end.
import { converse } from "./conversation.mjs";
import { nodePhone, say } from "./node.mjs";

const [of, peer] = [process.argv.slice(2, 7), process.argv[7]];
const phone = await nodePhone(...of);
say(`seen ${JSON.stringify(await converse(phone, peer, say))}`);
process.exit();
