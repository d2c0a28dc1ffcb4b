/** Runs the addon for a test in another process: one message a call, one message an answer. */
import * as addon from '../index.js';

let datapath: addon.Datapath | undefined;
let collected: addon.FlowEvent[] = [];
let lost = 0;

function opened(): addon.Datapath {
  if (datapath === undefined) throw new Error('open was not called');
  return datapath;
}

async function open(options: addon.OpenOptions): Promise<boolean> {
  datapath = await addon.Datapath.open(options);
  datapath.events((batch, missing) => {
    collected.push(...batch);
    lost += missing;
  });
  return datapath.adopted;
}

function collectedEvents(): { events: addon.FlowEvent[]; lost: number } {
  const answer = { events: collected, lost };
  collected = [];
  lost = 0;
  return answer;
}

async function call(method: string, args: never[]): Promise<unknown> {
  if (method === 'open') return await open(args[0] as never);
  if (method === 'uninstall') return await addon.Datapath.uninstall(args[0] as never);
  if (method === 'collectedEvents') return collectedEvents();
  const target: Record<string, unknown> = method in addon ? { ...addon } : { [method]: Reflect.get(opened(), method) };
  const work = target[method];
  if (typeof work !== 'function') throw new Error(`no method ${method}`);
  return await Reflect.apply(work, datapath, args);
}

process.on('message', (message: { id: number; method: string; args: never[] }) => {
  call(message.method, message.args).then(
    (value) => process.send?.({ id: message.id, value }),
    (error: unknown) => process.send?.({ id: message.id, error: String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
