import { expect, test } from '@jest/globals';
import { suiteArguments } from './features.ts';
import { imageNames } from './programs.ts';

test('nothing is exempted or skipped, whatever is run', () => {
  for (const only of [undefined, 'MeshBasic']) {
    const args = suiteArguments({ report: '/r.yaml', version: 'v1', ...(only === undefined ? {} : { only }) });
    expect(args.filter((arg) => /skip|exempt/.test(arg))).toEqual([]);
    expect(args).toContain('-conformance-profiles=MESH-HTTP,MESH-GRPC');
    expect(args.filter((arg) => arg.startsWith('-run-test='))).toEqual(
      only === undefined ? [] : ['-run-test=MeshBasic'],
    );
  }
});

test('each image that manifests name is found once', () => {
  const manifests =
    '      containers:\n      - name: a\n        image: r/a:1\n      - image: r/b:2\n        image: r/a:1\n';
  expect(imageNames(`${manifests}        imagePullPolicy: IfNotPresent\n`)).toEqual(['r/a:1', 'r/b:2']);
});
