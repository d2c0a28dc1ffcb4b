import { z } from 'zod';
import type { KindDefinition } from './schema/crd.ts';
import { status } from './schema/status.ts';
import type { CelRule } from './schema/structural.ts';

const rules = (...all: CelRule[]): { 'x-kubernetes-validations': CelRule[] } => ({ 'x-kubernetes-validations': all });

const port = z.int().min(1).max(65_535);
/** Durations of the Gateway API (GEP-2257). */
const duration = z
  .string()
  .max(32)
  .regex(/^([0-9]{1,5}(h|m|s|ms)){1,4}$/);
const host = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/);
const serviceName = z
  .string()
  .max(63)
  .regex(/^[a-z]([-a-z0-9]*[a-z0-9])?$/);
const headerName = z
  .string()
  .max(256)
  .regex(/^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$/);
const percent = z.number().min(0).max(100);

const namedMatch = (name: z.ZodString, what: string) =>
  z
    .object({
      name: name.describe(`Name of the ${what}.`),
      type: z
        .enum(['Exact', 'RegularExpression', 'Present'])
        .default('Exact')
        .describe('RegularExpression: RE2, for the whole value. Present: whatever its value.'),
      value: z.string().min(1).max(1024).optional().describe('What it must be.'),
    })
    .meta(
      rules(
        { rule: "self.type == 'Present' || has(self.value)", message: 'value is needed unless type is Present' },
        { rule: "self.type != 'Present' || !has(self.value)", message: 'type Present takes no value; remove it' },
      ),
    );

const grpc = z
  .object({
    type: z
      .enum(['Exact', 'RegularExpression'])
      .default('Exact')
      .describe('RegularExpression: RE2, for the whole of each.'),
    service: z.string().min(1).max(1024).optional().describe('With its package, as shop.Cart.'),
    method: z.string().min(1).max(1024).optional().describe('As AddItem.'),
  })
  .meta(rules({ rule: 'has(self.service) || has(self.method)', message: 'grpc needs service, method or both' }))
  .optional()
  .describe('Calls of gRPC, instead of path and method.');

const match = z
  .object({
    host: host.optional().describe('Host of the request, without its port.'),
    path: z
      .object({
        type: z
          .enum(['Exact', 'PathPrefix', 'RegularExpression'])
          .default('PathPrefix')
          .describe(
            'PathPrefix ends at a "/": /a matches /a and /a/b, not /ab. RegularExpression: RE2, for all of it.',
          ),
        value: z.string().min(1).max(1024).describe('Without the query.'),
      })
      .meta(
        rules({
          rule: "self.type == 'RegularExpression' || self.value.startsWith('/')",
          message: 'a path starts with "/"',
        }),
      )
      .optional()
      .describe('Path of the request.'),
    method: z
      .enum(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH'])
      .optional()
      .describe('Method of the request.'),
    headers: z.array(namedMatch(headerName, 'header')).max(16).optional().describe('All of them must match.'),
    query: z
      .array(namedMatch(z.string().min(1).max(256), 'parameter'))
      .max(16)
      .optional()
      .describe('Parameters of the query; all of them must match.'),
    grpc,
  })
  .meta(
    rules({
      rule: '!has(self.grpc) || (!has(self.path) && !has(self.method))',
      message: 'grpc stands for path and method; remove them, or grpc',
    }),
  )
  .describe('All that is set must match.');

const headerChange = z
  .object({
    set: headerValues().describe('Headers that get these values instead of theirs.'),
    add: headerValues().describe('Headers that get these values besides theirs.'),
    remove: z.array(headerName).max(16).optional().describe('Headers that are removed.'),
  })
  .optional();

function headerValues() {
  return z
    .array(
      z.object({
        name: headerName.describe('Name of the header.'),
        value: z.string().min(1).max(4096).describe('Value of the header.'),
      }),
    )
    .max(16)
    .optional();
}

const pathChange = z
  .object({
    type: z
      .enum(['ReplaceFullPath', 'ReplacePrefixMatch'])
      .describe('ReplacePrefixMatch: what path matched as a prefix.'),
    value: z.string().max(1024).describe('What it becomes.'),
  })
  .optional()
  .describe('How the path changes.');

const target = {
  name: serviceName.describe('Name of a Service.'),
  namespace: serviceName
    .optional()
    .describe("The route's if absent; for another one a ReferenceGrant of the Gateway API there has to permit it."),
  port: port.describe('Port of the Service.'),
};

const rule = z
  .object({
    name: z
      .string()
      .max(63)
      .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/)
      .optional()
      .describe('Shown in access records; the index of the rule if absent.'),
    matches: z.array(match).max(16).optional().describe('Requests that any of them matches; all requests if absent.'),
    backends: z
      .array(
        z.object({
          ...target,
          weight: z
            .int()
            .min(0)
            .max(1_000_000)
            .default(1)
            .describe('Its share is its weight by the sum of all weights.'),
          requestHeaders: headerChange.describe('Changes the headers of requests that it gets.'),
          responseHeaders: headerChange.describe('Changes the headers of its responses.'),
        }),
      )
      .max(16)
      .optional()
      .describe('Where requests go.'),
    redirect: z
      .object({
        scheme: z.enum(['http', 'https']).optional().describe('Scheme of the new URL.'),
        hostname: host.optional().describe('Host of the new URL.'),
        port: port.optional().describe('Port of the new URL.'),
        path: pathChange,
        statusCode: z.int().min(301).max(308).default(302).describe('301, 302, 303, 307 or 308.'),
      })
      .meta(
        rules({
          rule: 'self.statusCode in [301, 302, 303, 307, 308]',
          message: 'statusCode is 301, 302, 303, 307 or 308',
        }),
      )
      .optional()
      .describe('Answers with another URL, instead of backends.'),
    rewrite: z
      .object({ hostname: host.optional().describe('Host that the backend sees.'), path: pathChange })
      .optional()
      .describe('Changes requests on their way to the backend.'),
    requestHeaders: headerChange.describe('Changes the headers of requests.'),
    responseHeaders: headerChange.describe('Changes the headers of responses.'),
    mirror: z
      .object({ ...target, percent: percent.default(100).describe('Share of the requests that are copied.') })
      .optional()
      .describe('Gets a copy of requests; what it answers is thrown away.'),
    timeouts: z
      .object({
        request: duration.optional().describe('For the whole request with all tries; none if absent or 0s.'),
        perTry: duration.optional().describe('For one try.'),
        idle: duration.optional().describe('How long nothing may come from either side.'),
      })
      .optional()
      .describe('Durations as 10s, 250ms or 1m30s.'),
    retries: z
      .object({
        attempts: z.int().min(1).max(10).default(1).describe('Beyond the first try.'),
        backoff: duration.default('25ms').describe('Before the first repetition; it grows with each.'),
        codes: z
          .array(z.int().min(400).max(599))
          .max(16)
          .optional()
          .describe(
            'Statuses that are tried again, besides connections that fail. Only for requests that may be repeated.',
          ),
      })
      .optional()
      .describe('When a request is sent again.'),
    fault: z
      .object({
        delay: z
          .object({
            duration: duration.describe('How long.'),
            percent: percent.default(100).describe('Share of the requests that wait.'),
          })
          .optional()
          .describe('Requests that wait before they go on.'),
        abort: z
          .object({
            status: z.int().min(200).max(599).describe('Status of the answer.'),
            percent: percent.default(100).describe('Share of the requests that are answered so.'),
          })
          .optional()
          .describe('Requests that are answered instead of passed on.'),
      })
      .meta(rules({ rule: 'has(self.delay) || has(self.abort)', message: 'fault needs delay, abort or both' }))
      .optional()
      .describe('Faults made on purpose, to test what clients do then.'),
    rateLimit: z
      .object({
        requests: z.int().min(1).max(1_000_000).describe('So many are let through.'),
        interval: duration.default('1s').describe('In so much time, on each node; at least 50ms.'),
        perClient: z.boolean().default(false).describe('For each address of a client, rather than for all together.'),
      })
      .optional()
      .describe('More requests than that are answered 429.'),
  })
  .meta(
    rules(
      {
        rule: 'has(self.redirect) != (has(self.backends) && self.backends.size() > 0)',
        message: 'a rule has either backends or redirect',
      },
      {
        rule: '!has(self.redirect) || (!has(self.rewrite) && !has(self.mirror) && !has(self.retries))',
        message: 'a rule that redirects sends nothing on; remove rewrite, mirror and retries',
      },
    ),
  );

const l7RouteSpec = z
  .object({
    parentRefs: z
      .array(
        z.object({
          name: serviceName.describe('Name of a Service in the namespace of the route.'),
          port: port.optional().describe('All of its ports if absent.'),
        }),
      )
      .min(1)
      .max(16)
      .describe('Services whose clients the route is for.'),
    rules: z
      .array(rule)
      .min(1)
      .max(16)
      .describe(
        'Of several rules that match a request, the one with the most specific match counts, as in the Gateway API.',
      ),
  })
  .describe('Where requests to Services go, and how.');

function example(name: string, spec: unknown): Record<string, unknown> {
  return { apiVersion: 'weft.dev/v1alpha1', kind: 'L7Route', metadata: { name }, spec };
}

const toApi = { parentRefs: [{ name: 'api', port: 80 }] };
const backends = [{ name: 'api-v1', port: 80 }];
const one = (extra: object): Record<string, unknown> => example('api', { ...toApi, rules: [{ backends, ...extra }] });

const CONDITION = (type: string, field: string) => `.status.conditions[?(@.type=="${type}")].${field}`;

export const l7Route: KindDefinition = {
  group: 'weft.dev',
  version: 'v1alpha1',
  kind: 'L7Route',
  plural: 'l7routes',
  shortNames: ['l7r'],
  scope: 'Namespaced',
  description:
    'Where HTTP and gRPC requests to Services go, and how: what HTTPRoute and GRPCRoute of the Gateway API can do, and ' +
    'retries, faults and rate limits.',
  spec: l7RouteSpec,
  status,
  rules: [],
  columns: [
    { name: 'Services', type: 'string', jsonPath: '.spec.parentRefs[*].name' },
    { name: 'Ready', type: 'string', jsonPath: CONDITION('Ready', 'status') },
    { name: 'Reason', type: 'string', jsonPath: CONDITION('Ready', 'reason'), priority: 1 },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  ],
  examples: [
    {
      title: 'One of ten requests goes to the new version, and testers always do',
      object: example('canary', {
        ...toApi,
        rules: [
          { matches: [{ headers: [{ name: 'X-Tester', type: 'Present' }] }], backends: [{ name: 'api-v2', port: 80 }] },
          {
            backends: [
              { name: 'api-v1', port: 80, weight: 90 },
              { name: 'api-v2', port: 80, weight: 10 },
            ],
          },
        ],
      }),
    },
    {
      title: 'Time-outs, retries and a limit for each client',
      object: one({
        timeouts: { request: '3s', perTry: '1s' },
        retries: { attempts: 2, codes: [502, 503] },
        rateLimit: { requests: 100, interval: '1s', perClient: true },
      }),
    },
    {
      title: 'One of a hundred requests fails, and one of ten is slow',
      object: one({ fault: { delay: { duration: '500ms', percent: 10 }, abort: { status: 503, percent: 1 } } }),
    },
    {
      title: 'A call of gRPC goes elsewhere, and a copy of all others to a shadow',
      object: example('cart', {
        parentRefs: [{ name: 'cart' }],
        rules: [
          {
            matches: [{ grpc: { service: 'shop.Cart', method: 'AddItem' } }],
            backends: [{ name: 'cart-v2', port: 9000 }],
          },
          { backends: [{ name: 'cart', port: 9000 }], mirror: { name: 'cart-shadow', port: 9000, percent: 5 } },
        ],
      }),
    },
    {
      title: 'An old path is redirected, another one rewritten',
      object: example('paths', {
        ...toApi,
        rules: [
          {
            matches: [{ path: { type: 'Exact', value: '/old' } }],
            redirect: { path: { type: 'ReplaceFullPath', value: '/new' }, statusCode: 301 },
          },
          {
            matches: [{ path: { value: '/v1' } }],
            rewrite: { path: { type: 'ReplacePrefixMatch', value: '/' } },
            responseHeaders: { set: [{ name: 'Deprecation', value: 'true' }] },
            backends,
          },
        ],
      }),
    },
  ],
  badExamples: [
    {
      title: 'a rule that leads nowhere',
      object: example('api', { ...toApi, rules: [{ matches: [] }] }),
      refused: /a rule has either backends or redirect/,
    },
    {
      title: 'a rule that redirects and has backends',
      object: one({ redirect: { hostname: 'a.example' } }),
      refused: /a rule has either backends or redirect/,
    },
    {
      title: 'a redirect that is retried',
      object: example('api', { ...toApi, rules: [{ redirect: { hostname: 'a.example' }, retries: {} }] }),
      refused: /a rule that redirects sends nothing on; remove rewrite, mirror and retries/,
    },
    {
      title: 'a redirect with a status that is none',
      object: example('api', { ...toApi, rules: [{ redirect: { statusCode: 304 } }] }),
      refused: /statusCode is 301, 302, 303, 307 or 308/,
    },
    {
      title: 'a header that is present and has a value',
      object: one({ matches: [{ headers: [{ name: 'X-A', type: 'Present', value: 'a' }] }] }),
      refused: /type Present takes no value; remove it/,
    },
    {
      title: 'a header without a value',
      object: one({ matches: [{ headers: [{ name: 'X-A' }] }] }),
      refused: /value is needed unless type is Present/,
    },
    {
      title: 'a path that does not start with a slash',
      object: one({ matches: [{ path: { value: 'a' } }] }),
      refused: /a path starts with "\/"/,
    },
    {
      title: 'gRPC with a path',
      object: one({ matches: [{ path: { value: '/' }, grpc: { service: 'a.B' } }] }),
      refused: /grpc stands for path and method; remove them, or grpc/,
    },
    {
      title: 'gRPC of nothing',
      object: one({ matches: [{ grpc: {} }] }),
      refused: /grpc needs service, method or both/,
    },
    { title: 'a fault of nothing', object: one({ fault: {} }), refused: /fault needs delay, abort or both/ },
    {
      title: 'a duration without a unit',
      object: one({ timeouts: { request: '10' } }),
      refused: /spec\.rules\[0\]\.timeouts\.request.*should match/,
    },
    {
      title: 'no Service',
      object: example('api', { parentRefs: [], rules: [{ backends }] }),
      refused: /spec\.parentRefs.*should have at least 1 item/,
    },
    {
      title: 'a backend without a port',
      object: example('api', { ...toApi, rules: [{ backends: [{ name: 'a' }] }] }),
      refused: /spec\.rules\[0\]\.backends\[0\]\.port: Required value/,
    },
    {
      title: 'a misspelt field',
      object: one({ timeout: {} }),
      refused: /unknown field "spec\.rules\[0\]\.timeout"/,
    },
  ],
};
