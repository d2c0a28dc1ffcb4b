import { describe, expect, test } from '@jest/globals';
import { parseInstall } from './options.ts';

const required = [
  '--agent-image',
  'r.example/agent:1',
  '--operator-image',
  'operator',
  '--envoy-image',
  'envoy:1',
  '--api-server',
  'https://[::1]:6443/',
];

describe('the command line of an install', () => {
  test('needs three things, and takes the rest', () => {
    expect(parseInstall(required)).toEqual({
      tag: 'print',
      values: {
        agentImage: 'r.example/agent:1',
        operatorImage: 'operator',
        envoyImage: 'envoy:1',
        apiServer: 'https://[::1]:6443',
      },
    });
    const more = ['--replicas', '2', '--image-pull-policy', 'Never', '--cgroup', '/cgroup', '--mtu', '1400'].concat([
      '--envoy-memory',
      '256',
      '--envoy-concurrency',
      '4',
    ]);
    expect(parseInstall([...required, ...more])).toMatchObject({
      values: {
        replicas: 2,
        imagePullPolicy: 'Never',
        cgroup: '/cgroup',
        mtu: 1400,
        envoyMemoryMi: 256,
        envoyConcurrency: 4,
      },
    });
    expect(parseInstall(['-h'])).toMatchObject({ tag: 'help', text: expect.stringMatching(/^usage: /) });
  });

  test.each([
    [[], /--agent-image is missing/],
    [required.slice(0, 2), /--operator-image is missing/],
    [required.slice(0, 4), /--envoy-image is missing/],
    [required.slice(0, 6), /--api-server is missing: without it nothing starts/],
    [['--agent-image', 'a b', ...required.slice(2)], /--agent-image: "a b" is no image/],
    [['--agent-image', 'https://r.example/a', ...required.slice(2)], /is no image/],
    [[...required.slice(0, 6), '--api-server', 'http://10.0.0.1:6443'], /no address of the form https:\/\/host:port/],
    [[...required.slice(0, 6), '--api-server', '10.0.0.1:6443'], /no address of the form/],
    [[...required, '--replicas', '0'], /--replicas: "0" is no number from 1 to 100/],
    [[...required, '--replicas', '1e1'], /--replicas/],
    [[...required, '--mtu', '576'], /--mtu: "576" is no number from 1280 to 65535/],
    [[...required, '--envoy-memory', '64'], /--envoy-memory: "64" is no number from 128 to 65536/],
    [[...required, '--envoy-concurrency', '0'], /--envoy-concurrency/],
    [[...required, '--cgroup', 'cgroup'], /--cgroup: "cgroup" is no absolute path/],
    [[...required, '--image-pull-policy', 'never'], /none of Always, IfNotPresent and Never/],
    [[...required, '--verbose'], /Unknown option '--verbose'/],
    [[...required, 'more'], /Unexpected argument 'more'/],
  ])('%j is refused with a sentence', (args, sentence) => {
    expect(parseInstall(args)).toEqual({ tag: 'wrong', message: expect.stringMatching(sentence) });
  });
});
