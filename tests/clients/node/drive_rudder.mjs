// Drive @rudderstack/rudder-sdk-node.
import RudderAnalytics from '@rudderstack/rudder-sdk-node';
import { main } from './story.mjs';

await main((scenario, fail) => {
  const waiting = [];
  const client = new RudderAnalytics(scenario.key, {
    dataPlaneUrl: scenario.host,
    flushAt: 100,
    flushInterval: 500,
    retryCount: 10,
    logLevel: 'error',
    errorHandler: () => {}, // each call's own callback says what failed
  });
  const call = (method, message) => {
    waiting.push(
      new Promise((done) => {
        client[method](message, (error) => {
          if (error) fail(message.properties?.mark ?? method, error);
          done();
        });
      }),
    );
  };
  return {
    visit: (anonymousId, event, properties) => call('track', { anonymousId, event, properties }),
    identify: (userId, anonymousId, traits) => call('identify', { userId, anonymousId, traits }),
    track: (userId, event, properties, at) => call('track', { userId, event, properties, ...(at && { originalTimestamp: at }) }),
    alias: (previousId, userId) => call('alias', { previousId, userId }),
    close: () => Promise.all(waiting),
  };
});
