// @customerio/cdp-analytics-browser, a fork of Segment's.
import { AnalyticsBrowser } from '@customerio/cdp-analytics-browser';
import { offer } from './story.mjs';

offer(async ({ key, host }) => {
  const [client] = await AnalyticsBrowser.load({ writeKey: key, cdnURL: `${host}/customerio` });
  return {
    anonymous: () => client.user().anonymousId(),
    page: () => client.page('Shop'),
    identify: (customer, traits) => client.identify(customer, traits),
    track: (name, properties, timestamp) => client.track(name, properties, timestamp && { timestamp }),
  };
});
