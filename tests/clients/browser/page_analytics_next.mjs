// @segment/analytics-next, told nothing but where to ask for its settings; delivering each event by itself or, where the scenario says so, in batches.
import { AnalyticsBrowser } from '@segment/analytics-next';
import { offer } from './story.mjs';

offer(async ({ key, host, batching }) => {
  const deliveryStrategy = batching ? { strategy: 'batching', config: { size: 100, timeout: 500 } } : { strategy: 'standard' };
  const integrations = { 'Segment.io': { deliveryStrategy } };
  const [client] = await AnalyticsBrowser.load({ writeKey: key, cdnURL: host }, { integrations });
  return {
    anonymous: () => client.user().anonymousId(),
    page: () => client.page('Shop'),
    identify: (customer, traits) => client.identify(customer, traits),
    track: (name, properties, timestamp) => client.track(name, properties, timestamp && { timestamp }),
  };
});
