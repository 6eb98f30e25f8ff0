// Drive @segment/analytics-node, or as `drive_segment.mjs cdp` its fork @customerio/cdp-analytics-node.
import { main } from './story.mjs';

const { Analytics } = await import(process.argv[2] === 'cdp' ? '@customerio/cdp-analytics-node' : '@segment/analytics-node');

await main((scenario, fail) => {
  const client = new Analytics({ writeKey: scenario.key, host: scenario.host, maxRetries: 50, flushAt: 100, flushInterval: 500 });
  client.on('error', ({ reason, ctx }) => fail(ctx?.event?.properties?.mark ?? ctx?.event?.type, reason ?? 'error'));
  return {
    visit: (anonymousId, event, properties) => client.track({ anonymousId, event, properties }),
    identify: (userId, anonymousId, traits) => client.identify({ userId, anonymousId, traits }),
    track: (userId, event, properties, timestamp) => client.track({ userId, event, properties, timestamp }),
    alias: (previousId, userId) => client.alias({ previousId, userId }),
    close: () => client.closeAndFlush({ timeout: 60_000 }),
  };
});
