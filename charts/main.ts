/** `node charts/main.ts --agent-image … --operator-image …`: prints the manifests of an install. */
import { parseArgs } from 'node:util';
import { Yaml } from 'cdk8s';
import { type InstallValues, installObjects } from './index.ts';

const usage = `usage: node charts/main.ts --agent-image IMAGE --operator-image IMAGE [options] | kubectl apply --server-side -f -

  --api-server URL     https://host:port under which nodes reach the API server without Services
  --cgroup DIRECTORY   where the nodes' cgroup2 file system is mounted, /sys/fs/cgroup if not told
  --mtu BYTES          of the pods' devices; the underlay's less 80 if not told
  --replicas N         of the operator, 1 if not told
`;

function positive(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} is a number from 1, not ${text}`);
  return value;
}

function values(): InstallValues | undefined {
  const { values: given } = parseArgs({
    options: {
      'agent-image': { type: 'string' },
      'operator-image': { type: 'string' },
      'api-server': { type: 'string', default: '' },
      cgroup: { type: 'string' },
      mtu: { type: 'string' },
      replicas: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (given.help) return undefined;
  const [agentImage, operatorImage] = [given['agent-image'], given['operator-image']];
  if (agentImage === undefined || operatorImage === undefined) {
    throw new Error('--agent-image and --operator-image say what to run');
  }
  const mtu = positive('mtu', given.mtu);
  const replicas = positive('replicas', given.replicas);
  return {
    agentImage,
    operatorImage,
    apiServer: given['api-server'],
    ...(given.cgroup === undefined ? {} : { cgroup: given.cgroup }),
    ...(mtu === undefined ? {} : { mtu }),
    ...(replicas === undefined ? {} : { replicas }),
  };
}

try {
  const chosen = values();
  process.stdout.write(chosen === undefined ? usage : Yaml.stringify(...installObjects(chosen)));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
  process.exitCode = 2;
}
