// What every driver does with its client: tell a scenario, and say which events the client considers sent.
// A driver reads scenarios from its standard input, a JSON object a line, and answers each with one line.
import { createInterface } from 'node:readline';

const NAME = 'Client Checked';
const RESERVED = 'message.sent'; // a type that only Povod itself may publish: the bad event among good ones
const TRAITS = { name: 'Анна', plan: 'gold', visits: 7, email: 'Anna@Shop.example', phone: '8 (916) 123-45-67' };
const AGE_MS = 3_600_000;
const CUSTOMERS = 20;

const RealDate = Date;
let skewMs = 0;
globalThis.Date = class extends RealDate {
  constructor(...given) {
    super(...(given.length ? given : [RealDate.now() + skewMs]));
  }

  static now() {
    return RealDate.now() + skewMs;
  }
};

export const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

/** Call until it succeeds: some clients send at once and leave the next try to their caller. */
export async function untilTaken(send, tries = 240) {
  for (let left = tries; ; left -= 1) {
    try {
      return await send();
    } catch (error) {
      if (left <= 1 || error.final) throw error;
      await pause(0.25);
    }
  }
}

async function tell(client, { prefix, story, events, pace }) {
  const sent = {};
  const track = (mark, customer, at) => {
    sent[mark] = customer;
    return client.track(customer, NAME, { mark }, at);
  };
  if (story) {
    const [visitor, ann, old] = ['visitor', 'ann', 'old'].map((who) => `${prefix}.${who}`);
    sent.visit = visitor;
    await client.visit(visitor, NAME, { mark: 'visit' });
    await client.identify(ann, visitor, TRAITS);
    await track('before', ann);
    await client.track(ann, RESERVED, { mark: 'bad' });
    await track('aged', ann, new Date(Date.now() - AGE_MS));
    await track('old', old);
    await client.alias(old, ann);
  }
  for (let number = 0; number < events; number += 1) {
    await track(`batch-${number}`, `${prefix}.c${number % CUSTOMERS}`);
    if (pace) await pause(pace);
  }
  await client.close();
  return sent;
}

/** Play every scenario that comes on a client of its own, whose clock is `skew` seconds wrong. */
export async function main(open) {
  for await (const line of createInterface({ input: process.stdin })) {
    const scenario = JSON.parse(line);
    const failed = {};
    skewMs = scenario.skew * 1000;
    const client = await open(scenario, (mark, why) => {
      failed[mark] = String(why);
    });
    const sent = await tell(client, scenario);
    for (const mark of Object.keys(failed)) delete sent[mark];
    const { prefix } = scenario;
    const merges = scenario.story ? ['visitor', 'old'].map((who) => [`${prefix}.${who}`, `${prefix}.ann`]) : [];
    console.log(JSON.stringify({ prefix, sent, failed, merges }));
  }
  process.exit(0); // some clients keep timers
}
