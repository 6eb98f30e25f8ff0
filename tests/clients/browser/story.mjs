// What every page does with its client. A browser's client knows one person at a time, so the story is told of one.
const NAME = 'Client Checked';
const RESERVED = 'message.sent'; // a type that only Povod itself may publish: the bad event among good ones
const TRAITS = { name: 'Анна', plan: 'gold', visits: 7, email: 'Anna@Shop.example', phone: '8 (916) 123-45-67' };
const AGE_MS = 3_600_000;

/** Offer `tell` to the driver; `open` returns a client once it is ready. */
export function offer(open) {
  globalThis.tell = async (scenario) => {
    const failed = {};
    const client = await open(scenario, (mark, why) => {
      failed[mark] = String(why);
    });
    const sent = {};
    const [ann, old] = [`${scenario.prefix}.ann`, `${scenario.prefix}.old`];
    const anonymous = await client.anonymous();
    const track = (mark, subject, at) => {
      sent[mark] = subject;
      return client.track(NAME, { mark }, at);
    };
    const merges = [];
    if (scenario.story) {
      await track('visit', anonymous); // some clients ask who it is only after they have returned
      client.page?.();
      client.identify(ann, TRAITS);
      merges.push([anonymous, ann]);
      track('before', ann);
      client.track(RESERVED, { mark: 'bad' });
      if (client.backdates !== false) track('aged', ann, new Date(Date.now() - AGE_MS));
      if (client.alias) {
        client.alias(old, ann);
        merges.push([old, ann]);
      }
    }
    for (let number = 0; number < scenario.events; number += 1) {
      track(`batch-${number}`, scenario.story ? ann : anonymous);
      if (scenario.pace) await new Promise((done) => setTimeout(done, scenario.pace * 1000));
    }
    await client.close?.();
    return { sent, failed, merges };
  };
}
