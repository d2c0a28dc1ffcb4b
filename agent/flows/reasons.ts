/** Reasons as sentences, where their names do not say it all. */

const SENTENCES: ReadonlyMap<string, string> = new Map([
  [
    'proxied',
    'its policy needs layer 7: it was handed to Envoy, which decides on each request; flows of requests follow',
  ],
  ['from-proxy', 'Envoy has decided and passes it on'],
  ['no-proxy', 'its policy needs layer 7, and no Envoy serves it on this node'],
  ['proxy-limit', 'the namespace had too many connections handed to Envoy within a second (4,096 on this node)'],
  ['proxy-port', "its source port is reserved for Envoy's own connections: only Envoy may open connections from it"],
  ['http-allowed', 'a rule matches the request'],
  ['http-denied', 'no rule matches the request: Envoy answered 403'],
  ['no-upstream', 'Envoy could not reach the server'],
  ['upstream-reset', 'the server ended the connection before it had answered'],
  ['upstream-protocol-error', "the server's answer was not valid HTTP"],
  [
    'protocol-error',
    'what the client sent was not valid HTTP, or a kind that is not served: Envoy refused it before any rule',
  ],
  ['overload', 'Envoy had too much to do'],
  ['timeout', 'it took too long, so Envoy gave it up'],
  ['client-gone', 'the client ended the connection before the answer was complete'],
  ['no-route', "no rule of the Service's routes matches the request: Envoy answered 404"],
]);

export function explainReason(reason: string): string | undefined {
  return SENTENCES.get(reason);
}
