// Our own snippet, from the server it is to talk to, by a tag as its documentation shows.
import { offer } from './story.mjs';

offer(async ({ key, host }) => {
  const tag = document.createElement('script');
  Object.assign(tag.dataset, { key, page: 'off' });
  tag.src = `${host}/povod.js`;
  await new Promise((loaded, failed) => {
    tag.onload = loaded;
    tag.onerror = failed;
    document.head.append(tag);
  });
  const client = globalThis.povod;
  return {
    backdates: false,
    anonymous: () => client.anonymousId(),
    page: () => client.page(),
    identify: (customer, traits) => client.identify(customer, traits),
    track: (name, properties) => client.track(name, properties),
  };
});
