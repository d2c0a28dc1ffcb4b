/** Envoy's resources for requests that really pass, as protobuf bytes, for tests. */
import { field } from './real-envoy.ts';

const any = (type: string, ...content: Uint8Array[]): Buffer =>
  Buffer.concat([field(1, `type.googleapis.com/envoy.extensions.${type}`), field(2, ...content)]);

/** A listener for connections to any address, which it passes on from the client's, marked as decided for ingress. */
export function passingListenerMessage(name: string): Buffer {
  const overAds = Buffer.concat([field(3), field(6, 2)]);
  const router = Buffer.concat([field(1, 'router'), field(4, any('filters.http.router.v3.Router'))]);
  const manager = any(
    'filters.network.http_connection_manager.v3.HttpConnectionManager',
    field(2, 'l7'),
    field(3, field(1, overAds), field(2, name)),
    field(5, router),
  );
  const original = (which: string, ...content: Uint8Array[]): Buffer =>
    field(9, field(1, which), field(3, any(`filters.listener.${which}`, ...content)));
  return Buffer.concat([
    field(1, name),
    field(3, field(3, field(1, 'http'), field(4, manager))),
    original('original_dst.v3.OriginalDst'),
    original('original_src.v3.OriginalSrc', field(2, 2)),
    field(10, field(1, 1)),
  ]);
}

/** Only requests for one path pass; others are refused with 403. */
export function pathRouteMessage(name: string, path: string): Buffer {
  const pass = field(3, field(1, field(2, path)), field(2, field(1, 'origin')));
  const refuse = field(3, field(1, field(1, '/')), field(7, field(1, 403)));
  return Buffer.concat([field(1, name), field(2, field(1, 'all'), field(2, '*'), pass, refuse)]);
}

/** A cluster that passes on to where the client was going, each of its connections on one of its own. */
export function originMessage(name: string): Buffer {
  const timeout = field(4, field(1, 5));
  return Buffer.concat([field(1, name), field(2, 4), timeout, field(6, 6), field(51, 1)]);
}
