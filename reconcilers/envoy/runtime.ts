/**
 * Switches of Envoy that its bootstrap has to set, because what is built here relies on them.
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
