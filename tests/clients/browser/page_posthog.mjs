// posthog-js; it would say nothing to a headless browser unless told to.
import posthog from 'posthog-js';
import { offer } from './story.mjs';

offer(async ({ key, host, prefix }) => {
  const client = await new Promise((loaded) => {
    posthog.init(key, {
      api_host: host,
      loaded,
      opt_out_useragent_filter: true,
      autocapture: false,
      capture_pageview: false,
      capture_pageleave: false,
      disable_session_recording: true,
      disable_external_dependency_loading: true,
      advanced_disable_flags: true,
      person_profiles: 'always',
      rate_limiting: { events_per_second: 1000, events_burst_limit: 10000 },
      name: prefix,
    });
  });
  return {
    anonymous: () => client.get_distinct_id(),
    page: () => client.capture('$pageview'),
    identify: (customer, traits) => client.identify(customer, traits),
    track: (name, properties, timestamp) => client.capture(name, properties, timestamp && { timestamp }),
    alias: (previous, customer) => client.alias(previous, customer),
  };
});
