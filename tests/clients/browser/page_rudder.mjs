// @rudderstack/analytics-js with its plugins inside; it asks the server for its configuration.
import { RudderAnalytics } from '@rudderstack/analytics-js/bundled';
import { offer } from './story.mjs';

offer(async ({ key, host, beacon }) => {
  const client = new RudderAnalytics();
  client.load(key, host, { configUrl: host, useBeacon: Boolean(beacon), logLevel: 'ERROR' });
  await new Promise((done) => client.ready(done));
  return {
    anonymous: () => client.getAnonymousId(),
    page: () => client.page('Shop'),
    identify: (customer, traits) => client.identify(customer, traits),
    track: (name, properties, at) => client.track(name, properties, at && { originalTimestamp: at.toISOString() }),
    alias: (previous, customer) => client.alias(customer, previous),
  };
});
