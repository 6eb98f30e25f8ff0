// Drive posthog-node.
import { PostHog } from 'posthog-node';
import { main } from './story.mjs';

await main((scenario, fail) => {
  const client = new PostHog(scenario.key, { host: scenario.host, flushAt: 100, flushInterval: 500, fetchRetryCount: 30, fetchRetryDelay: 1000 });
  client.on('error', (error) => fail('posthog', error));
  return {
    visit: (distinctId, event, properties) => client.capture({ distinctId, event, properties }),
    identify: (distinctId, anonymousId, properties) => {
      client.identify({ distinctId, properties });
      client.alias({ distinctId, alias: anonymousId });
    },
    track: (distinctId, event, properties, timestamp) => client.capture({ distinctId, event, properties, timestamp }),
    alias: (alias, distinctId) => client.alias({ distinctId, alias }),
    close: () => client.shutdown(60_000),
  };
});
