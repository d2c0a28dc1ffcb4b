/** What Envoy's bootstrap has to set, because what is built here relies on it. */

/**
 * Switches.
 *
 * Envoy refuses regular expressions of more than 100 instructions; how large one may be is for translators to say.
 *
 * Several headers of one name are matched as one value, joined by commas: else `X-Role: user` matches a request that
 * also says `X-Role: admin`, and the server may read the other one.
 */
export const envoyRuntime = {
  're2.max_program_size.error_level': 1_000_000,
  'envoy.reloadable_features.match_headers_individually': false,
} as const;

/** Mirrors go through listeners inside of Envoy. */
export const internalListeners = {
  name: 'envoy.bootstrap.internal_listener',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener',
  },
} as const;
