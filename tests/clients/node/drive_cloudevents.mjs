// Drive cloudevents with its own HTTP transport; it sends once, so the next try is ours. Argument: `binary`, `structured` or `batch`.
import { CloudEvent, emitterFor, httpTransport } from 'cloudevents';
import { main, untilTaken } from './story.mjs';

const BATCH = 100;
const mode = process.argv[2];

await main((scenario, fail) => {
  const transport = httpTransport(`${scenario.host}/cloudevents`);
  const options = { headers: { Authorization: `Bearer ${scenario.key}` } };
  const emit = emitterFor(transport, { mode });
  let waiting = [];

  // The transport tells no status, so the body has to say it.
  const judge = ({ body }) => {
    const answer = body ? JSON.parse(body) : { success: true };
    if (answer.success) return;
    const again = ['log_unavailable', 'rate_limited', 'overloaded', 'keys_unavailable', 'made_up'].includes(answer.code);
    throw Object.assign(new Error(body), { final: !again });
  };
  const send = (events, post) =>
    untilTaken(async () => judge(await post())).catch((error) => events.forEach(({ data }) => fail(data?.mark, error.message)));
  const sendBatch = () => {
    const events = waiting;
    waiting = [];
    const message = { headers: { 'content-type': 'application/cloudevents-batch+json' }, body: JSON.stringify(events) };
    return send(events, () => transport(message, options));
  };
  const post = (subject, type, data, more = {}) => {
    const event = new CloudEvent({ source: 'https://shop.example/till', type, subject, data, ...more });
    if (mode !== 'batch') return send([event], () => emit(event, options));
    waiting.push(event);
    return waiting.length === BATCH ? sendBatch() : undefined;
  };
  return {
    visit: (anonymous, name, properties) => post(anonymous, name, properties),
    identify: (customer, anonymousid, traits) => post(customer, 'customer.identified', { traits }, { anonymousid }),
    track: (customer, name, properties, at) => post(customer, name, properties, at && { time: at.toISOString() }),
    alias: (anonymousid, customer) => post(customer, 'customer.identified', {}, { anonymousid }),
    close: () => (waiting.length ? sendBatch() : undefined),
  };
});
