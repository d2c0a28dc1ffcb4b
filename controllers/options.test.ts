import { expect, test } from '@jest/globals';
import { parseFlags } from './options.ts';

test('flags have defaults, and the environment of the pod counts', () => {
  const environment = { HOST_IP: 'fd00::1', POD_NAME: 'Weft_Operator.0', WEFT_API_SERVER: 'https://10.0.0.1:6443/' };
  expect(parseFlags(['--health-port', '0'], environment, 'abc')).toEqual({
    tag: 'run',
    flags: {
      apiServer: 'https://10.0.0.1:6443',
      namespace: 'weft-system',
      port: 15_443,
      healthPort: 0,
      advertiseAddress: 'fd00::1',
      controlSocket: '/run/weft-operator/control.sock',
      identity: 'weft-operator-0-abc',
    },
  });
});

test.each([
  [['--port', '70000'], /--port: 70000 is no port number/],
  [[], /--advertise-address \(or env HOST_IP\) is missing/],
  [['--advertise-address', 'localhost'], /localhost is no IP address/],
  [['--advertise-address', '::1', '--api-server', 'http://x'], /http:\/\/x is no https URL/],
  [['--bogus'], /--bogus.*see --help/s],
])('%j is refused with a sentence', (args, message) => {
  expect(parseFlags(args, {}, 'x')).toEqual({ tag: 'wrong', message: expect.stringMatching(message) });
});

test('help names every flag', () => {
  const help = parseFlags(['--help'], {}, 'x');
  for (const flag of ['advertise-address', 'api-server', 'namespace', 'port', 'health-port', 'control-socket']) {
    expect(help).toMatchObject({ text: expect.stringContaining(`--${flag} `) });
  }
});
