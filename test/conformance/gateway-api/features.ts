/** What is claimed of the Gateway API, in the names of its conformance suite. */

export const profiles = ['MESH-HTTP', 'MESH-GRPC'] as const;

/** Core comes with the profiles; these are extended, or select tests of what is core for a mesh. */
export const supportedFeatures = [
  'Mesh',
  'HTTPRoute',
  'GRPCRoute',
  'HTTPRouteParentRefPort',
  'HTTPRouteResponseHeaderModification',
  'HTTPRoute303RedirectStatusCode',
  'HTTPRoute307RedirectStatusCode',
  'HTTPRoute308RedirectStatusCode',
  'MeshClusterIPMatching',
  'MeshHTTPRouteBackendRequestHeaderModification',
  'MeshHTTPRouteNamedRouteRule',
  'MeshHTTPRouteQueryParamMatching',
  'MeshHTTPRouteRedirectPath',
  'MeshHTTPRouteRedirectPort',
  'MeshHTTPRouteRewritePath',
  'MeshHTTPRouteSchemeRedirect',
] as const;

export interface SuiteOptions {
  /** Where the suite writes its report. */
  readonly report: string;
  /** Of Weft, as git tells it. */
  readonly version: string;
  /** Name of the one test to run; all if absent. */
  readonly only?: string;
}

/** Arguments of the suite's program: no test is exempted, and its waits are those of the suite. */
export function suiteArguments({ report, version, only }: SuiteOptions): string[] {
  return [
    ...['-test.run', '^TestConformance$', '-test.v', '-test.timeout', '60m'],
    `-conformance-profiles=${profiles.join(',')}`,
    `-supported-features=${supportedFeatures.join(',')}`,
    `-report-output=${report}`,
    '-organization=weft',
    '-project=weft',
    '-url=https://weft.dev',
    `-version=${version}`,
    '-contact=https://weft.dev',
    ...(only === undefined ? [] : [`-run-test=${only}`]),
  ];
}
